// Tables that are kept up to date in place: a row stays the same element while its key is there, so that the focus and
// a reader's place are not lost when figures change.

import * as figures from "./figures.js";

const words = { pause: "Pause", resume: "Resume", drain: "Drain", undrain: "Undrain" };

function pace(row) {
  return {
    a_minute: figures.rate(row.a_minute),
    failure_rate: figures.share(row.failure_rate),
    p50: figures.duration(row.p50),
    p95: figures.duration(row.p95),
  };
}

export function retrying(count) {
  return count.number ? `+ ${figures.count(count)} to be retried` : "";
}

function queuedNotes(row) {
  const age = row.queued.seconds_old >= 3 ? `counted ${figures.duration(row.queued.seconds_old)} ago` : "";
  return [age, retrying(row.retrying)].filter(Boolean).join(", ");
}

const cells = {
  lanes: (row) => ({
    name: row.key,
    state: row.state,
    queued: figures.count(row.queued),
    retrying: queuedNotes(row),
    oldest: figures.duration(row.oldest),
    processing: figures.number(row.processing),
    ...pace(row),
  }),
  backends: (row) => ({
    name: row.key,
    state: row.state,
    breaker: row.breaker,
    ...pace(row),
    address: row.address,
    last_failure: ["down", "failing", "ailing"].includes(row.state) ? row.last_failure ?? "" : "",
  }),
  workers: (row, now) => ({
    name: row.name,
    state: row.state,
    holds: figures.number(Object.values(row.holds).reduce((sum, held) => sum + held, 0)),
    lanes: Object.entries(row.holds).map(([lane, held]) => `${lane} ${figures.number(held)}`).join(", ") || figures.NONE,
    queues: row.queues.join(", "),
    runs: figures.duration((now - new Date(row.started_at)) / 1000),
    silent: `${figures.duration(Math.max(row.silent, 0))} ago`,
  }),
};

export function write(element, text) {
  if (element && element.textContent !== text) element.textContent = text;
}

function fillRow(element, kind, row, now) {
  for (const [name, text] of Object.entries(cells[kind](row, now))) {
    write(element.querySelector(`[data-cell="${name}"]`), text);
  }
  element.querySelector('[data-cell="state"]').dataset.state = row.state;
  element.querySelector('[data-cell="name"]').setAttribute("href", row.url);
  const action = element.querySelector('[data-cell="action"]');
  if (action) {
    action.hidden = !row.action;
    if (row.action) {
      write(action, words[row.action]);
      action.setAttribute("href", row.action_url);
      action.setAttribute("aria-label", `${words[row.action]} ${row.name ?? row.key}`);
    }
  }
}

export function fill(kind, rows, now) {
  const table = document.querySelector(`[data-rows="${kind}"]`);
  const body = table.tBodies[0];
  const template = table.parentElement.querySelector("template");
  const known = new Map([...body.rows].map((element) => [element.dataset.key, element]));
  rows.forEach((row, place) => {
    const element = known.get(row.key) ?? template.content.firstElementChild.cloneNode(true);
    known.delete(row.key);
    element.dataset.key = row.key;
    fillRow(element, kind, row, now);
    if (body.rows[place] !== element) body.insertBefore(element, body.rows[place] ?? null);
  });
  known.forEach((element) => element.remove());
  table.hidden = !rows.length;
  table.parentElement.querySelector(".board-none").hidden = Boolean(rows.length);
}
