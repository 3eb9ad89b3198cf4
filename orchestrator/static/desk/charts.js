// Two charts of the same points: what was done as stacked bars, how long it took as two lines. Each is an SVG for the
// eye, a cursor for pointer and arrow keys that tells one point in words, and a table with all of them.

import * as figures from "./figures.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 220;
const EDGE = { top: 12, right: 12, bottom: 26, left: 60 };

function make(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

// The next round number above whose half is round too. Durations are read in seconds, minutes and hours.
function ceilingOf(value, steps) {
  if (steps) return steps.find((step) => step >= value) ?? value;
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  const rounds = power === 1 ? [2, 4, 6, 8, 10] : [1, 1.2, 1.6, 2, 3, 4, 5, 6, 8, 10];
  return rounds.map((step) => step * power).find((step) => step >= value);
}

const DURATIONS = [
  0.01, 0.02, 0.04, 0.1, 0.2, 0.4, 0.6, 1, 2, 4, 6, 10, 20, 30, 60, 120, 180, 240, 360, 480, 600, 1200, 1800, 3600, 7200,
  14400, 21600, 43200, 86400, 172800, 604800,
];

export class Chart {
  constructor(figure, { series, steps, format, bars }) {
    Object.assign(this, { figure, series, steps, format, bars });
    this.frame = figure.querySelector(".board-chart");
    this.output = figure.querySelector("output");
    this.table = figure.querySelector("table");
    this.tip = document.createElement("div");
    this.tip.className = "board-tip";
    this.tip.hidden = true;
    this.points = [];
    this.cursor = null;
    this.frame.addEventListener("pointermove", (event) => this.pointAt(this.placeOf(event)));
    this.frame.addEventListener("pointerleave", () => this.pointAt(null));
    this.frame.addEventListener("blur", () => this.pointAt(null));
    this.frame.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.draw()).observe(this.frame);
  }

  show(points, title) {
    this.points = points;
    this.frame.setAttribute("aria-label", `${title}: a chart; the arrow keys tell its points, the table has them all`);
    this.draw();
    this.fillTable();
  }

  // ------------------------------------------------------------ drawing

  draw() {
    const width = this.frame.clientWidth;
    if (!width || !this.points.length) return;
    this.width = width;
    this.step = (width - EDGE.left - EDGE.right) / this.points.length;
    this.top = ceilingOf(this.highest(), this.steps);
    const svg = make("svg", { width, height: HEIGHT, viewBox: `0 0 ${width} ${HEIGHT}`, "aria-hidden": "true" });
    this.drawGrid(svg);
    if (this.bars) this.drawBars(svg);
    else this.series.forEach((one) => this.drawLine(svg, one));
    this.mark = make("line", { class: "board-cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom }, svg);
    this.frame.replaceChildren(svg, this.tip);
    this.pointAt(this.cursor);
  }

  highest() {
    const values = this.points.map((point) => {
      const each = this.series.map(({ key }) => point[key] ?? 0);
      return this.bars ? each.reduce((sum, value) => sum + value, 0) : Math.max(...each);
    });
    return Math.max(...values, this.steps ? 0.01 : 1);
  }

  x(place) {
    return EDGE.left + (place + 0.5) * this.step;
  }

  y(value) {
    return EDGE.top + (1 - value / this.top) * (HEIGHT - EDGE.top - EDGE.bottom);
  }

  drawGrid(svg) {
    for (const part of [0, 0.5, 1]) {
      const y = this.y(part * this.top);
      make("line", { class: "board-grid", x1: EDGE.left, x2: this.width - EDGE.right, y1: y, y2: y }, svg);
      make("text", { x: EDGE.left - 8, y: y + 4, "text-anchor": "end" }, svg).textContent = this.format(part * this.top);
    }
    const every = this.points.length > 30 ? 15 : 6;
    this.points.forEach(({ at }, place) => {
      const unit = this.points.length > 30 ? at.getMinutes() : at.getHours();
      if (unit % every) return;
      const x = this.x(place);
      const anchor = x < EDGE.left + 20 ? "start" : x > this.width - EDGE.right - 20 ? "end" : "middle";
      make("text", { x, y: HEIGHT - 6, "text-anchor": anchor }, svg).textContent = figures.clock(at);
    });
  }

  drawBars(svg) {
    const wide = Math.max(this.step - (this.step > 6 ? 2 : 1), 1);
    this.points.forEach((point, place) => {
      let below = 0;
      for (const { key, kind } of this.series) {
        if (!point[key]) continue;
        const top = this.y(below + point[key]);
        const gap = below ? 1 : 0;
        const height = Math.max(this.y(below) - top - gap, 1);
        make("rect", { class: kind, x: this.x(place) - wide / 2, y: top, width: wide, height, rx: Math.min(2, wide / 4) }, svg);
        below += point[key];
      }
    });
  }

  drawLine(svg, { key, kind }) {
    let path = "";
    this.points.forEach((point, place) => {
      if (point[key] === null) return;
      const alone = this.points[place - 1]?.[key] == null && this.points[place + 1]?.[key] == null;
      path += `${this.points[place - 1]?.[key] == null ? "M" : "L"}${this.x(place).toFixed(1)} ${this.y(point[key]).toFixed(1)}`;
      if (alone) make("circle", { class: `${kind} is-dot`, cx: this.x(place), cy: this.y(point[key]), r: 2.5 }, svg);
    });
    make("path", { class: kind, d: path || "M0 0" }, svg);
  }

  // ------------------------------------------------------------ one point, in words

  placeOf(event) {
    const place = Math.floor((event.clientX - this.frame.getBoundingClientRect().left - EDGE.left) / this.step);
    return place >= 0 && place < this.points.length ? place : null;
  }

  onKey(event) {
    const last = this.points.length - 1;
    const from = this.cursor ?? last + (event.key === "ArrowLeft" ? 1 : 0);
    const place = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
    if (event.key === "Escape") this.pointAt(null);
    if (place === undefined || last < 0) return;
    event.preventDefault();
    this.pointAt(Math.min(Math.max(place, 0), last));
    this.output.textContent = this.words(this.points[this.cursor]);
  }

  words(point) {
    const values = this.series.map(({ key, name }) => `${name} ${point[key] === null ? figures.NONE : this.format(point[key])}`);
    return `${figures.clock(point.at)}: ${values.join(", ")}`;
  }

  pointAt(place) {
    this.cursor = place;
    const point = place === null ? undefined : this.points[place];
    this.tip.hidden = !point;
    if (!this.mark) return;
    this.mark.classList.toggle("is-on", Boolean(point));
    if (!point) return;
    const x = this.x(place);
    this.mark.setAttribute("x1", x);
    this.mark.setAttribute("x2", x);
    this.tip.textContent = this.words(point);
    this.tip.style.left = `${Math.min(Math.max(x, 90), this.width - 90)}px`;
  }

  // ------------------------------------------------------------ all points, as a table

  fillTable() {
    const table = document.createElement("table");
    const head = table.createTHead().insertRow();
    for (const name of ["Time", ...this.series.map((one) => one.name)]) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = name;
      head.append(cell);
    }
    const body = table.createTBody();
    for (const point of [...this.points].reverse()) {
      const row = body.insertRow();
      const values = this.series.map(({ key }) => (point[key] === null ? figures.NONE : this.format(point[key])));
      for (const text of [figures.clock(point.at), ...values]) row.insertCell().textContent = text;
    }
    this.table.replaceChildren(...table.children);
  }
}

export function doneChart(figure) {
  const series = [
    { key: "complete", name: "Complete", kind: "is-complete" },
    { key: "failed", name: "Failed", kind: "is-failed" },
  ];
  return new Chart(figure, { series, format: figures.number, bars: true });
}

export function timeChart(figure) {
  const series = [
    { key: "p50", name: "p50", kind: "is-p50" },
    { key: "p95", name: "p95", kind: "is-p95" },
  ];
  return new Chart(figure, { series, format: figures.duration, steps: DURATIONS, bars: false });
}
