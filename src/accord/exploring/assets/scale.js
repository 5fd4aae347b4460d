// From numbers to places and back, with ticks at round numbers.

export function makeScale(low, high, from, to) {
  const factor = (to - from) / (high - low || 1);
  return {
    low,
    high,
    place: (value) => from + (value - low) * factor,
    value: (place) => low + (place - from) / factor,
  };
}

// A little more than the values reach; around a single value, something to see.
export function padded(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.08 || Math.abs(high) * 0.05 || 1;
  return [low - pad, high + pad];
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
