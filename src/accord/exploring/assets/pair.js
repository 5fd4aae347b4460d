// Two tasks: one slider from all for the first to all for the second.

import { html, taskName, unseen } from "./elements.js";
import { percent } from "./numbers.js";
import { nearest, sharesText } from "./simplex.js";

const STEPS = 100;

export function setUpPair(place, front, store, prefer) {
  const continuous = front.live && front.steerable;
  // Where only stored points can be shown, each is one step: no key press then leads nowhere.
  const order = front.points.map((_, i) => i).sort((a, b) => front.points[a].preference[1] - front.points[b].preference[1]);
  const toValue = (preference) => (continuous ? preference[1] * STEPS : order.indexOf(nearest(front.points, preference)));
  const toPreference = (value) => (continuous ? [1 - value / STEPS, value / STEPS] : front.points[order[value]].preference);

  const slider = html("input", {
    type: "range", id: "share", min: 0, max: continuous ? STEPS : order.length - 1, step: 1,
    "aria-label": `Preference between ${front.tasks[0]} and ${front.tasks[1]}`,
  });
  const shares = [0, 1].map((task) => html("output", { for: "share", class: `share t${task}` }));
  const ends = [0, 1].map((task) => html(
    "button", { type: "button", class: "end", onclick: () => prefer([1 - task, task]) },
    unseen("All for "), taskName(front.tasks[task], task),
  ));
  place.append(
    html("div", { class: "ends" }, html("div", {}, ends[0], shares[0]), html("div", {}, ends[1], shares[1])),
    slider,
  );
  slider.addEventListener("input", () => prefer(toPreference(Number(slider.value))));
  store.on(["wanted"], ({ wanted }) => {
    slider.step = continuous && Math.abs(wanted[1] * STEPS % 1) > 1e-9 ? "any" : 1;
    slider.value = toValue(wanted);
    slider.setAttribute("aria-valuetext", sharesText(wanted, front.tasks));
    shares.forEach((output, task) => { output.textContent = percent(wanted[task]); });
  });
  // A step from a place between two steps (the knee, say) leads to a whole one.
  slider.addEventListener("keydown", () => {
    if (slider.step === "any") { slider.step = 1; slider.value = Math.round(toValue(store.state.wanted)); }
  });
}
