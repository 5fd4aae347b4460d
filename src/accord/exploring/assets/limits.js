// Limits on axes, such as "recall at least 80": which points fail them, and which of the others is best.

// By how much a column misses the limit of an axis, in the axis's own numbers; 0 where it is kept.
// Cautious: the whole interval has to be on the right side, where there is one.
export function shortfall(axis, column, index, bound, cautious) {
  if (bound === null) return 0;
  const end = axis.higher ? column.low[index] : column.high[index];
  const value = cautious && end !== null ? end : column.value[index];
  if (value === null) return Infinity;
  return Math.max(axis.higher ? bound - value : value - bound, 0);
}

export function failures(axes, column, bounds, cautious) {
  return axes.flatMap((axis, i) => (shortfall(axis, column, i, bounds[i], cautious) > 0 ? [i] : []));
}

function isKept(axes, column, bounds, cautious) {
  return axes.every((axis, i) => shortfall(axis, column, i, bounds[i], cautious) === 0);
}

// Per stored point whether it keeps all limits. Many parts of the page ask, with the same limits.
let flags = { bounds: null, cautious: false, kept: [] };

export function keptFlags(front, { bounds, cautious }) {
  if (flags.bounds !== bounds || flags.cautious !== cautious) {
    flags = { bounds, cautious, kept: front.points.map((point) => isKept(front.axes, point, bounds, cautious)) };
  }
  return flags.kept;
}

// What each axis reaches over the points, so that axes of different size can be added up.
function reaches(axes, columns) {
  return axes.map((axis, i) => {
    const values = columns.map((column) => column.value[i]).filter((value) => value !== null);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return { worst: axis.higher ? low : high, best: axis.higher ? high : low, span: high - low || 1 };
  });
}

// The epsilon-constraint rule (Haimes, 1971): keep the limits, and get the most out of what has none. "Most" is the mean,
// over the tasks' main metrics without a limit, of how far a point is from the worst to the best of the front. Where every
// task is limited, all of them count. Where nothing keeps all limits, the point that misses them least.
export function bestPoint(axes, points, bounds, cautious) {
  const reach = reaches(axes, points);
  const main = axes.flatMap((axis, i) => (axis.primary ? [i] : []));
  const limited = new Set(axes.flatMap((axis, i) => (bounds[i] === null ? [] : [axis.task])));
  const open = main.filter((i) => !limited.has(axes[i].task));
  const counted = open.length ? open : main;
  const gain = (column) => counted.reduce((sum, i) => {
    const value = column.value[i] ?? reach[i].worst;
    return sum + (axes[i].higher ? value - reach[i].worst : reach[i].worst - value) / reach[i].span;
  }, 0);
  const missed = (column) => axes.reduce(
    (sum, axis, i) => sum + shortfall(axis, column, i, bounds[i], cautious) / reach[i].span, 0);
  let best = 0;
  for (let i = 1; i < points.length; i += 1) {
    const difference = missed(points[i]) - missed(points[best]);
    if (difference < 0 || (difference === 0 && gain(points[i]) > gain(points[best]))) best = i;
  }
  return { index: best, kept: missed(points[best]) === 0 };
}
