// How figures are written: numbers, shares, durations. The server tells numbers and seconds only.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const NONE = "–";

export function number(value) {
  return whole.format(value);
}

export function count({ number: value, at_least }) {
  return whole.format(value) + (at_least ? "+" : "");
}

export function rate(value) {
  return value >= 10 ? whole.format(value) : fine.format(value);
}

export function share(value) {
  if (value === null) return NONE;
  return value > 0 && value < 0.001 ? "< 0.1 %" : `${fine.format(100 * value)} %`;
}

export function duration(seconds) {
  if (seconds === null) return NONE;
  if (seconds === 0) return "0";
  if (seconds < 1) return `${whole.format(1000 * seconds)} ms`;
  if (seconds < 60) return `${fine.format(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return two(minutes, "min", Math.floor(seconds % 60), "s");
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? two(hours, "h", minutes % 60, "min") : two(Math.floor(hours / 24), "d", hours % 24, "h");
}

function two(large, its, small, theirs) {
  return small ? `${large} ${its} ${small} ${theirs}` : `${large} ${its}`;
}

export function clock(date, seconds = false) {
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(seconds && { second: "2-digit" }) };
  return new Intl.DateTimeFormat("en", parts).format(date);
}
