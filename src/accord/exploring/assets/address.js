// The page's state in its address, so that a reload keeps it and a link to a saved page shows the same.

export function readAddress(front) {
  const given = new URLSearchParams(location.hash.slice(1));
  const shares = (given.get("preference") ?? "").split(",").map(Number);
  const total = shares.reduce((sum, share) => sum + share, 0);
  const valid = shares.length === front.tasks.length && shares.every((share) => share >= 0) && total > 0 && total < Infinity;
  const bounds = front.axes.map(() => null);
  for (const pair of (given.get("limits") ?? "").split(",").filter(Boolean)) {
    const [index, bound] = pair.split(":").map(Number);
    if (index in bounds && Number.isFinite(bound)) bounds[index] = bound;
  }
  const axis = (name) => {
    const index = Number(given.get(name));
    return given.has(name) && index in front.axes ? index : null;
  };
  return { preference: valid ? shares.map((share) => share / total) : null, bounds, x: axis("x"), y: axis("y"), cautious: given.has("cautious") };
}

// Browsers refuse more than a hundred changes of the address in half a minute, so it waits for a pause.
const PAUSE_MS = 300;

export function setUpAddress(store) {
  let timer = 0;
  let first = true;
  store.on(["wanted", "x", "y", "bounds", "cautious"], (state) => {
    clearTimeout(timer);
    // At once the first time: the key does not stay in the address, where it would be copied along.
    if (first) write(state);
    else timer = setTimeout(write, PAUSE_MS, state);
    first = false;
  });
}

function write({ wanted, x, y, bounds, cautious }) {
  const limits = bounds.flatMap((bound, i) => (bound === null ? [] : [`${i}:${bound}`]));
  const parts = [`preference=${wanted.map((share) => Number(share.toFixed(4))).join(",")}`, `x=${x}`, `y=${y}`];
  if (limits.length) parts.push(`limits=${limits.join(",")}`);
  if (cautious) parts.push("cautious");
  history.replaceState(null, "", `${location.pathname}#${parts.join("&")}`);
}
