// From numbers to places and back, with ticks at round numbers.

export function makeScale(low, high, from, to) {
  const factor = (to - from) / (high - low || 1);
  return {
    low,
    high,
    inside: (value) => Math.min(Math.max(value, low), high),
    place: (value) => from + (value - low) * factor,
    value: (place) => low + (place - from) / factor,
  };
}

// A little more than the values reach; around a single value, something to see.
function padded(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return [low - pad, high + pad];
}

// The range of values, and of intervals around them as far as these leave the values something to be seen of.
const MOST = 0.6;

export function reach(values, ends) {
  const [low, high] = padded(values);
  const room = (high - low) * MOST;
  return [Math.max(Math.min(low, ...ends), low - room), Math.min(Math.max(high, ...ends), high + room)];
}

// That of an axis over all that is drawn: it does not depend on the model shown, so nothing jumps while one steers.
export function axisReach(front, index) {
  const known = (numbers) => numbers.filter((number) => number !== null);
  const columns = [...front.points, ...front.baselines];
  return reach(known(columns.map((column) => column.value[index])), known(columns.flatMap((column) => [column.low[index], column.high[index]])));
}

export function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) * power;
  const places = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const first = Math.ceil(low / step - 1e-9);
  const count = Math.floor(high / step + 1e-9) - first + 1;
  return { places, values: Array.from({ length: Math.max(count, 0) }, (_, i) => (first + i) * step) };
}
