// The rows of the table lead to their points.

import { html } from "./elements.js";
import { keptFlags } from "./limits.js";
import { sharesText } from "./simplex.js";

export function setUpTable(front, store, prefer) {
  const places = [...document.querySelectorAll("[data-point]")].map((place) => {
    const index = Number(place.dataset.point);
    const { preference } = front.points[index];
    const button = html("button", { type: "button", class: "link", "aria-label": `Show ${sharesText(preference, front.tasks)}` }, place.firstChild.textContent);
    button.addEventListener("click", () => prefer(preference));
    place.firstChild.replaceWith(button);
    return { row: place.closest("tr"), index };
  });
  store.on(["shown", "bounds", "cautious"], (state) => {
    const { shown } = state;
    const kept = keptFlags(front, state);
    for (const { row, index } of places) {
      row.classList.toggle("fails", !kept[index]);
      row.classList.toggle("here", shown.place === index && shown.exact === true);
    }
  });
}
