// What a screen reader says: the result once things have settled, not every step on the way.

import { byId } from "./elements.js";
import { failures } from "./limits.js";
import { fixed } from "./numbers.js";

const SETTLED_MS = 500;

let timer = 0;

export function say(text, delay = 0) {
  clearTimeout(timer);
  timer = setTimeout(() => { byId("said").textContent = text; }, delay);
}

export function setUpSaying(front, store) {
  let first = true;
  store.on(["shown"], (state) => {
    if (first) { first = false; return; }
    say(summary(front, state), SETTLED_MS);
  });
}

function summary(front, { shown, bounds, cautious }) {
  const main = front.axes.flatMap((axis, i) => (axis.primary ? [i] : []));
  const parts = main.map((i) => {
    const axis = front.axes[i];
    const [low, high] = [shown.low[i], shown.high[i]];
    const range = low === null ? "" : `, from ${fixed(low, axis.places)} to ${fixed(high, axis.places)}`;
    return `${front.tasks[axis.task]} ${axis.label} ${fixed(shown.value[i], axis.places)}${range}`;
  });
  const failed = failures(front.axes, shown, bounds, cautious).map((i) => `${front.tasks[front.axes[i].task]} ${front.axes[i].label}`);
  return `${parts.join("; ")}.${failed.length ? ` Outside its limit: ${failed.join(", ")}.` : ""}`;
}
