// The rows of the table lead to their points.

import { html } from "./elements.js";
import { isKept } from "./limits.js";
import { sharesText } from "./simplex.js";

export function setUpTable(front, store, prefer) {
  const places = [...document.querySelectorAll("[data-point]")].map((place) => {
    const index = Number(place.dataset.point);
    const { preference } = front.points[index];
    const button = html("button", { type: "button", class: "link", "aria-label": `Show ${sharesText(preference, front.tasks)}` }, place.firstChild.textContent);
    button.addEventListener("click", () => prefer(preference));
    place.firstChild.replaceWith(button);
    return { row: place.closest("tr"), point: front.points[index], index };
  });
  store.on(["shown", "bounds", "cautious"], ({ shown, bounds, cautious }) => {
    for (const { row, point, index } of places) {
      row.classList.toggle("fails", !isKept(front.axes, point, bounds, cautious));
      row.classList.toggle("here", shown.place === index && shown.exact === true);
    }
  });
}
