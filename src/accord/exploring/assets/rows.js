// The metrics of the model that is shown, task by task: main metrics at once, the others folded.

import { byId, html, svg, taskName, unseen } from "./elements.js";
import { shortfall } from "./limits.js";
import { baselineKind, baselineName, mark } from "./marks.js";
import { fixed, interval } from "./numbers.js";
import { makeStrip } from "./strip.js";

export function setUpRows(front, store) {
  byId("rows").append(...front.tasks.map((task, place) => {
    const indexes = front.axes.flatMap((axis, i) => (axis.task === place ? [i] : []));
    const main = indexes.filter((i) => front.axes[i].primary);
    const open = main.length ? main : indexes.slice(0, 1);
    const rest = indexes.filter((i) => !open.includes(i));
    const id = `task-${place}`;
    return html("div", { class: "task-rows", role: "group", "aria-labelledby": id },
      html("h3", { id }, taskName(task, place)),
      open.map((i) => row(front, store, i)),
      rest.length ? folded(front, store, rest) : null);
  }));
}

function folded(front, store, indexes) {
  const word = indexes.every((i) => front.axes[i].kind === "loss") ? "Loss" : `${indexes.length} more`;
  const part = html("details", { class: "more" }, html("summary", {}, word), indexes.map((i) => row(front, store, i)));
  // A limit must not act from behind a fold.
  store.on(["bounds"], ({ bounds }) => { if (indexes.some((i) => bounds[i] !== null)) part.open = true; });
  return part;
}

function row(front, store, index) {
  const axis = front.axes[index];
  const value = html("output", { class: "value" });
  const range = html("span", { class: "bounds" });
  const verdict = html("span", { class: "outside" });
  const compared = html("p", { class: "compared" });
  const element = html("div", { class: "row" },
    html("p", { class: "row-name" }, axis.label, arrow(axis), axis.unit ? html("small", {}, ` ${axis.unit}`) : null),
    html("p", { class: "row-value" }, value, " ", range),
    makeStrip(front, store, index),
    html("div", { class: "row-foot" }, compared, limitField(front, store, index)),
    verdict);
  store.on(["shown", "bounds", "cautious"], ({ shown, bounds, cautious }) => {
    const missed = shortfall(axis, shown, index, bounds[index], cautious);
    value.textContent = fixed(shown.value[index], axis.places);
    range.textContent = interval(shown.low[index], shown.high[index], axis.places);
    compared.replaceChildren(...comparison(front, shown, index));
    element.classList.toggle("fails", missed > 0);
    verdict.textContent = missed > 0 ? miss(axis, missed) : "";
  });
  return element;
}

function miss(axis, missed) {
  if (missed === Infinity) return "no value";
  const amount = fixed(missed, axis.places);
  return /[1-9]/.test(amount) ? `misses its limit by ${amount}` : "just misses its limit";
}

function arrow(axis) {
  const words = axis.higher ? "higher is better" : "lower is better";
  return html("span", { title: words }, axis.higher ? " \u2191" : " \u2193", unseen(` ${words}`));
}

function comparison(front, shown, index) {
  const axis = front.axes[index];
  return front.baselines.filter((one) => one.value[index] !== null).map((one) => {
    const gain = (axis.higher ? 1 : -1) * (shown.value[index] - one.value[index]);
    const amount = fixed(Math.abs(gain), axis.places);
    const same = !/[1-9]/.test(amount);
    const name = baselineName(one);
    const words = same ? "same" : `${amount} ${gain > 0 ? "better" : "worse"}`;
    const sign = svg("svg", { width: 14, height: 14, "aria-hidden": "true" }, mark(baselineKind(one), 7, 7, 3.5));
    return html("span", { title: `${words} ${same ? "as" : "than"} ${name}` }, sign, words, unseen(` ${same ? "as" : "than"} ${name}, `));
  });
}

function limitField(front, store, index) {
  const axis = front.axes[index];
  const word = axis.higher ? "at least" : "at most";
  const input = html("input", {
    type: "number", step: 10 ** -axis.places, inputmode: "decimal", placeholder: "any", autocomplete: "off",
    "aria-label": `${front.tasks[axis.task]} ${axis.label} ${word}`,
  });
  input.addEventListener("input", () => {
    const bound = input.value.trim() === "" || Number.isNaN(input.valueAsNumber) ? null : input.valueAsNumber;
    store.set({ bounds: store.state.bounds.map((old, i) => (i === index ? bound : old)) });
  });
  store.on(["bounds"], ({ bounds }) => {
    const bound = bounds[index];
    // What is being typed is left alone: "0." is on the way to "0.8".
    if (document.activeElement !== input) input.value = bound === null ? "" : bound.toFixed(axis.places);
  });
  return html("label", { class: "limit-field" }, html("span", { "aria-hidden": "true" }, word), input);
}
