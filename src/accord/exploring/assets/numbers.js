// Numbers as people read them: a real minus sign, thousands apart, never a false zero.

const MINUS = "\u2212";

// Making a format takes far longer than using it, and a move of the preference writes dozens of numbers.
const formats = new Map();

function formatOf(places) {
  if (!formats.has(places)) {
    formats.set(places, new Intl.NumberFormat("en", { minimumFractionDigits: places, maximumFractionDigits: places }));
  }
  return formats.get(places);
}

export function fixed(value, places) {
  if (value === null || !Number.isFinite(value)) return "\u2013";
  const text = formatOf(places).format(Math.abs(value));
  const zero = !/[1-9]/.test(text);
  return value < 0 && !zero ? MINUS + text : text;
}

export function interval(low, high, places) {
  return low === null || high === null ? "" : `[${fixed(low, places)}, ${fixed(high, places)}]`;
}

export function percent(share) {
  return `${Math.round(share * 100)}\u00a0%`;
}

export function bytes(count) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let unit = 0;
  for (; count >= 1000 && unit < units.length - 1; unit += 1) count /= 1000;
  return `${count >= 100 || unit === 0 ? Math.round(count) : count.toPrecision(2)} ${units[unit]}`;
}
