// From a preference to the numbers of a model: asked of the server, or those of the nearest stored point.

import { distance, nearest } from "./simplex.js";

const SLOW_MS = 250;

export function storedColumn(front, preference) {
  const place = nearest(front.points, preference);
  const point = front.points[place];
  return { ...point, place, exact: distance(point.preference, preference) < 1e-12 };
}

// Asks for one preference at a time, and while the answer is under way remembers the last wish only.
export function makeMeasure(front, store) {
  let wish = null;
  let running = false;
  const run = async () => {
    running = true;
    const slow = setTimeout(() => store.set({ busy: true }), SLOW_MS);
    while (wish !== null) {
      const preference = wish;
      wish = null;
      try {
        const shown = await ask("evaluate", { preference });
        store.set({ shown: { ...shown, live: true }, lost: "" });
      } catch (error) {
        store.set({ shown: storedColumn(front, preference), lost: error.message });
      }
    }
    clearTimeout(slow);
    store.set({ busy: false });
    running = false;
  };
  return (preference) => {
    store.set({ wanted: preference });
    if (!front.live || !front.steerable) {
      store.set({ shown: storedColumn(front, preference) });
      return;
    }
    wish = preference;
    if (!running) run();
  };
}

export async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      credentials: "same-origin",
    });
  } catch {
    throw new Error("The server does not answer: it was stopped, or is restarting.");
  }
  const found = await answer.json().catch(() => ({ error: `The server answered ${answer.status}.` }));
  if (!answer.ok) throw new Error(found.error ?? `The server answered ${answer.status}.`);
  return found;
}
