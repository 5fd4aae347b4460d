// What the two directions of the plot show, and how an axis is named.

import { byId, html } from "./elements.js";

export function axisTitle(front, axis) {
  const unit = axis.unit ? `, ${axis.unit}` : "";
  return `${front.tasks[axis.task]} ${axis.label}${unit}`;
}

// Of each kind, the first axis of every task; the main metric comes first among a task's metrics.
function usualAxes(front, kind) {
  const first = front.tasks.map((_, task) => front.axes.findIndex((axis) => axis.task === task && axis.kind === kind));
  const known = first.filter((index) => index >= 0);
  return known.length >= 2 ? [known[0], known[1]] : null;
}

export function startAxes(front) {
  return usualAxes(front, "metric") ?? usualAxes(front, "loss") ?? [0, Math.min(1, front.axes.length - 1)];
}

export function setUpAxes(front, store) {
  const selects = { x: byId("axis-x"), y: byId("axis-y") };
  for (const [key, select] of Object.entries(selects)) {
    select.append(...front.tasks.map((task, place) => html(
      "optgroup", { label: task },
      front.axes.flatMap((axis, i) => (axis.task === place ? [html("option", { value: i }, optionText(front, axis))] : [])),
    )));
    select.addEventListener("change", () => store.set({ [key]: Number(select.value) }));
  }
  const sets = [["show-metrics", "metric"], ["show-losses", "loss"]].map(([id, kind]) => [byId(id), usualAxes(front, kind)]);
  for (const [button, pair] of sets) {
    button.hidden = pair === null;
    button.addEventListener("click", () => store.set({ x: pair[0], y: pair[1] }));
  }
  store.on(["x", "y"], ({ x, y }) => {
    selects.x.value = x;
    selects.y.value = y;
    for (const [button, pair] of sets) button.setAttribute("aria-pressed", pair !== null && pair[0] === x && pair[1] === y);
  });
}

// A closed select shows no group, so the option names its task too.
function optionText(front, axis) {
  return `${front.tasks[axis.task]}: ${axis.label}`;
}
