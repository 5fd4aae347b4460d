// A slider per task. They share one whole: what one takes, the others give in proportion.

import { html, taskName, tint } from "./elements.js";
import { percent } from "./numbers.js";
import { moved } from "./simplex.js";

const STEPS = 100;

export function setUpParallel(place, front, store, prefer) {
  const lines = front.tasks.map((task, i) => {
    const id = `share-${i}`;
    const slider = html("input", { type: "range", id, min: 0, max: STEPS, step: "any", class: tint(i) });
    // The step of "any" is a hundredth of the range for keys, which is what is wanted, and exact for the pointer.
    slider.addEventListener("input", () => prefer(moved(store.state.wanted, i, Number(slider.value) / STEPS)));
    const output = html("output", { for: id });
    return { slider, output, line: html("div", { class: `share-line ${tint(i)}` }, html("label", { for: id }, taskName(task, i)), slider, output) };
  });
  place.append(html("div", { class: "share-lines", role: "group", "aria-label": "Shares of the preference" }, lines.map(({ line }) => line)));
  store.on(["wanted"], ({ wanted }) => lines.forEach(({ slider, output }, i) => {
    // What the hand holds stays where the hand is.
    if (Math.abs(Number(slider.value) - wanted[i] * STEPS) > 1e-6) slider.value = wanted[i] * STEPS;
    slider.style.setProperty("--share", `${wanted[i] * STEPS}%`);
    slider.setAttribute("aria-valuetext", `${Math.round(wanted[i] * 100)} %`);
    output.textContent = percent(wanted[i]);
  }));
}
