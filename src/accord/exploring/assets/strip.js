// A metric's whole front on one line, better to the right: stored points, baselines, the model shown with its interval, and
// a handle for the least one accepts.

import { html, svg } from "./elements.js";
import { keptFlags } from "./limits.js";
import { baselineKind } from "./marks.js";
import { fixed } from "./numbers.js";
import { axisReach } from "./scale.js";

const STEPS = 1000;
const MIDDLE = 14;

export function makeStrip(front, store, index) {
  const axis = front.axes[index];
  const [low, high] = axisReach(front, index);
  const share = (value) => Math.min(Math.max(axis.higher ? (value - low) / (high - low) : (high - value) / (high - low), 0), 1);
  const at = (value) => `${(share(value) * 100).toFixed(2)}%`;
  const boundAt = (steps) => Number((axis.higher ? low + steps / STEPS * (high - low) : high - steps / STEPS * (high - low)).toFixed(axis.places));

  const beyond = svg("rect", { class: "beyond", x: 0, y: 0, height: 28, width: 0 });
  const ticks = front.points.map(({ value }) => (value[index] === null ? null : svg("line", {
    x1: at(value[index]), x2: at(value[index]), y1: MIDDLE - 5, y2: MIDDLE + 5,
  })));
  const whisker = svg("line", { class: "whisker", y1: MIDDLE, y2: MIDDLE });
  const dot = svg("circle", { class: "core", cy: MIDDLE, r: 6 });
  const picture = svg("svg", { class: "one-strip", width: "100%", height: 28, "aria-hidden": "true" },
    svg("line", { class: "axis", x1: 0, x2: "100%", y1: MIDDLE, y2: MIDDLE }), beyond, ticks,
    front.baselines.filter((one) => one.value[index] !== null).map((one) => baselineSign(one, at(one.value[index]))),
    whisker, dot);

  const handle = html("input", {
    type: "range", class: "limit", min: 0, max: STEPS, step: 5,
    "aria-label": `Limit for ${front.tasks[axis.task]} ${axis.label}`,
  });
  handle.addEventListener("input", () => {
    const steps = Number(handle.value);
    store.set({ bounds: store.state.bounds.map((old, i) => (i === index ? (steps === 0 ? null : boundAt(steps)) : old)) });
  });

  store.on(["bounds", "cautious"], (state) => {
    const bound = state.bounds[index];
    const kept = keptFlags(front, state);
    const steps = bound === null ? 0 : Math.round(share(bound) * STEPS);
    if (Math.abs(Number(handle.value) - steps) > 5) handle.value = steps;
    handle.classList.toggle("off", bound === null);
    handle.setAttribute("aria-valuetext", bound === null
      ? "no limit"
      : `${axis.higher ? "at least" : "at most"} ${fixed(bound, axis.places)}; ${kept.filter(Boolean).length} of ${front.points.length} stored points keep all limits`);
    beyond.setAttribute("width", bound === null ? 0 : at(bound));
    ticks.forEach((tick, i) => tick?.setAttribute("class", kept[i] ? "tick" : "tick fails"));
  });
  store.on(["shown"], ({ shown }) => {
    const value = shown.value[index];
    dot.classList.toggle("none", value === null);
    if (value !== null) dot.setAttribute("cx", at(value));
    const known = shown.low[index] !== null;
    whisker.setAttribute("x1", known ? at(shown.low[index]) : 0);
    whisker.setAttribute("x2", known ? at(shown.high[index]) : 0);
  });
  return html("div", { class: "strip-box" }, picture, handle);
}

// Places are per cent of a width that is not known here, so the signs are text-free shapes in nested pictures.
function baselineSign(baseline, x) {
  const kind = baselineKind(baseline);
  const shape = kind === "single" ? svg("path", { d: "M0 -6L5.4 4H-5.4Z" }) : svg("rect", { x: -4.5, y: -4.5, width: 9, height: 9 });
  shape.setAttribute("class", `mark-${kind}`);
  return svg("svg", { x, y: MIDDLE, overflow: "visible" }, shape);
}
