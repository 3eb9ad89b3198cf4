// The dashboard keeps itself up to date: the present every two seconds, the charts every ten, and nothing while it is
// held, hidden in a background tab, or waiting for an answer.

import { doneChart, timeChart } from "./charts.js";
import * as figures from "./figures.js";
import { fill, retrying, write } from "./rows.js";

const NOW_EVERY = 2000;
const HISTORY_EVERY = 10000;

const board = document.getElementById("board");
const state = document.getElementById("board-state");
const hold = document.getElementById("board-hold");
const lanePick = document.getElementById("board-lane");
const charts = [doneChart(document.getElementById("board-done")), timeChart(document.getElementById("board-time"))];
let updatedAt = null;

class LoggedOut extends Error {}

async function ask(address) {
  const answer = await fetch(address, { headers: { Accept: "application/json" }, signal: AbortSignal.timeout(15000) });
  if (answer.redirected || answer.status === 403) throw new LoggedOut();
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

// ---------------------------------------------------------------- the present

function showTotals(total) {
  const silent = total.silent ? `, ${total.silent} silent` : "";
  const texts = {
    queued: figures.count(total.queued),
    retrying: retrying(total.retrying) || "none to be retried",
    oldest: figures.duration(total.oldest),
    processing: figures.number(total.processing),
    workers: `by ${total.workers} ${total.workers === 1 ? "worker" : "workers"}${silent}`,
    a_minute: figures.rate(total.a_minute),
    failure_rate: figures.share(total.failure_rate),
    p50: figures.duration(total.p50),
    p95: total.p95 === null ? "" : `95 % within ${figures.duration(total.p95)}`,
  };
  for (const [name, text] of Object.entries(texts)) write(board.querySelector(`[data-total="${name}"]`), text);
}

function offerLanes(lanes) {
  const names = ["", ...lanes.map((lane) => lane.key)];
  if ([...lanePick.options].map((option) => option.value).join("\n") === names.join("\n")) return;
  const picked = lanePick.value;
  lanePick.replaceChildren(...names.map((name) => new Option(name || "All lanes", name)));
  lanePick.value = names.includes(picked) ? picked : "";
}

async function showNow() {
  const now = await ask(board.dataset.now);
  const at = new Date(now.at);
  showTotals(now.total);
  for (const kind of ["lanes", "backends", "workers"]) fill(kind, now[kind], at);
  offerLanes(now.lanes);
  updatedAt = at;
}

// ---------------------------------------------------------------- the course

async function showHistory() {
  const span = board.querySelector("[name=span]:checked").value;
  const { points } = await ask(`${board.dataset.history}?${new URLSearchParams({ span, lane: lanePick.value })}`);
  for (const point of points) point.at = new Date(point.at);
  const each = span === "day" ? "in each hour" : "in each minute";
  write(board.querySelector("[data-each]"), each);
  const whose = lanePick.value ? ` of lane ${lanePick.value}` : "";
  charts[0].show(points, `Done ${each}${whose}`);
  charts[1].show(points, `Time from received to final${whose}`);
}

// ---------------------------------------------------------------- again and again

// A word that a screen reader is told when it changes; the time beside it changes silently.
function tell(word, trouble = false) {
  write(state, word);
  board.classList.toggle("is-troubled", trouble);
  board.classList.toggle("is-live", word === "Live");
  write(document.getElementById("board-at"), updatedAt ? `as of ${figures.clock(updatedAt, true)}` : "");
}

function tellTrouble(error) {
  if (error instanceof LoggedOut) {
    const link = Object.assign(document.createElement("a"), { href: location.href, textContent: "Log in again" });
    if (!state.querySelector("a")) state.replaceChildren("You are no longer logged in. ", link);
    board.classList.remove("is-live");
    return;
  }
  tell("The figures can't be had just now; trying again.", true);
}

const isHeld = () => hold.getAttribute("aria-pressed") === "true";

function repeat(show, every) {
  let timer;
  let running = false;
  async function turn() {
    clearTimeout(timer);
    if (running) return;
    running = true;
    try {
      await show();
      tell(isHeld() ? "Held" : "Live");
    } catch (error) {
      tellTrouble(error);
    }
    running = false;
    if (!isHeld() && !document.hidden) timer = setTimeout(turn, every);
  }
  return { turn, rest: () => clearTimeout(timer) };
}

const now = repeat(showNow, NOW_EVERY);
const history = repeat(showHistory, HISTORY_EVERY);

hold.addEventListener("click", () => {
  hold.setAttribute("aria-pressed", String(!isHeld()));
  for (const loop of [now, history]) isHeld() ? loop.rest() : loop.turn();
  tell(isHeld() ? "Held" : "Live");
});
document.addEventListener("visibilitychange", () => {
  for (const loop of [now, history]) document.hidden || isHeld() ? loop.rest() : loop.turn();
});
for (const input of [lanePick, ...board.querySelectorAll("[name=span]")]) {
  input.addEventListener("change", () => history.turn());
}
now.turn();
history.turn();
