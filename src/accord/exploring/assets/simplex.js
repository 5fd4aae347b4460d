// Preferences: shares that are not negative and sum to 1.

export function equalShares(tasks) {
  return Array.from({ length: tasks }, () => 1 / tasks);
}

// One share takes a value; the others give or take in proportion, and alike where all of them are zero.
export function moved(preference, index, share) {
  const left = 1 - share;
  const others = preference.reduce((sum, value, i) => (i === index ? sum : sum + value), 0);
  const rest = preference.length - 1;
  return preference.map((value, i) => (i === index ? share : others > 0 ? value / others * left : left / rest));
}

export function distance(a, b) {
  return a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0);
}

export function nearest(points, preference) {
  let best = 0;
  for (let i = 1; i < points.length; i += 1) {
    if (distance(points[i].preference, preference) < distance(points[best].preference, preference)) best = i;
  }
  return best;
}

// Corners of a triangle with sides of 1: first task left, second right, third on top.
const CORNERS = [[0, 0], [1, 0], [0.5, Math.sqrt(3) / 2]];

export function toTriangle(preference) {
  return [0, 1].map((axis) => preference.reduce((sum, share, i) => sum + share * CORNERS[i][axis], 0));
}

// The inverse, and for a place outside the triangle the nearest one inside.
export function fromTriangle(x, y) {
  const third = y / CORNERS[2][1];
  const second = x - third / 2;
  return projected([1 - second - third, second, third]);
}

// Euclidean projection onto the simplex: subtract one number from all, cut at zero.
function projected(values) {
  const sorted = [...values].sort((a, b) => b - a);
  let sum = 0;
  let shift = 0;
  sorted.forEach((value, i) => {
    sum += value;
    if (value > (sum - 1) / (i + 1)) shift = (sum - 1) / (i + 1);
  });
  return values.map((value) => Math.max(value - shift, 0));
}

export function sharesText(preference, tasks) {
  return preference.map((share, i) => `${tasks[i]} ${Math.round(share * 100)} %`).join(", ");
}
