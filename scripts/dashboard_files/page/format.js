// Numbers and times as people read them: three significant digits, with their unit.

const kUnknown = "–";

export function significant(value, digits = 3) {
  if (value === 0) return "0";
  const magnitude = Math.floor(Math.log10(Math.abs(value)));
  return value.toFixed(Math.max(0, Math.min(digits - 1 - magnitude, 6)));
}

function scaled(value, steps) {
  for (const [size, unit] of steps) {
    if (Math.abs(value) >= size) return `${significant(value / size)} ${unit}`;
  }
  const [size, unit] = steps[steps.length - 1];
  return `${significant(value / size)} ${unit}`;
}

export function isKnown(value) {
  return value !== null && value !== undefined && !Number.isNaN(value);
}

export function bytes(value) {
  if (!isKnown(value)) return kUnknown;
  if (Math.abs(value) < 1000) return `${Math.round(value)} B`;
  return scaled(value, [[1e12, "TB"], [1e9, "GB"], [1e6, "MB"], [1e3, "kB"]]);
}

export function duration(ms) {
  if (!isKnown(ms)) return kUnknown;
  if (ms === 0) return "0 ms";
  if (Math.abs(ms) < 60000) return scaled(ms, [[1000, "s"], [1, "ms"], [0.001, "µs"]]);
  const minutes = ms / 60000;
  if (minutes < 60) return `${Math.floor(minutes)} min ${Math.floor((ms % 60000) / 1000)} s`;
  if (minutes < 60 * 24) return `${Math.floor(minutes / 60)} h ${Math.floor(minutes % 60)} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

export function count(value) {
  if (!isKnown(value)) return kUnknown;
  if (Math.abs(value) >= 1e7) return scaled(value, [[1e12, "T"], [1e9, "G"], [1e6, "M"]]);
  return Math.round(value).toLocaleString("en-US");
}

export function rate(value) {
  if (!isKnown(value)) return kUnknown;
  return `${value >= 100 ? count(value) : significant(value)}/s`;
}

export function share(value) {
  if (!isKnown(value)) return kUnknown;
  const percent = value * 100;
  return `${percent >= 99.5 || percent === 0 ? Math.round(percent) : percent < 0.1 ? "<0.1" : significant(percent, 2)} %`;
}

export function plural(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}

// The tables' points in time are UTC text; the page counts in Unix milliseconds.
export function unixMs(text) {
  return text ? Date.parse(`${text.replace(" ", "T")}Z`) : null;
}

const kTwo = (n) => String(n).padStart(2, "0");

export function clock(ms, seconds = true) {
  const at = new Date(ms);
  return `${kTwo(at.getHours())}:${kTwo(at.getMinutes())}${seconds ? `:${kTwo(at.getSeconds())}` : ""}`;
}

export function day(ms) {
  const at = new Date(ms);
  return `${at.toLocaleString("en-US", { month: "short" })} ${at.getDate()}`;
}

export function utc(ms) {
  return `${new Date(ms).toISOString().replace("T", " ").slice(0, 19)} UTC`;
}

export function moment(ms, now = Date.now()) {
  return Math.abs(now - ms) < 20 * 3600e3 ? clock(ms) : `${day(ms)} ${clock(ms, false)}`;
}

export function ago(ms, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  return seconds < 1 ? "now" : seconds < 60 ? `${seconds} s ago` : `${duration(seconds * 1000).replace(/ \d+ s$/, "")} ago`;
}
