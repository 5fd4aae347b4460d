// Where the numbers come from: this very model just now, or a stored point.

import { byId } from "./elements.js";
import { percent } from "./numbers.js";

export function setUpSource(front, store) {
  const place = byId("source");
  const rows = byId("rows");
  store.on(["shown", "busy", "lost"], ({ shown, busy, lost }) => {
    rows.setAttribute("aria-busy", busy);
    rows.classList.toggle("busy", busy);
    place.classList.toggle("alarm", Boolean(lost));
    place.dataset.shown = shown.preference.map((share) => Number(share.toFixed(4))).join(",");
    const shares = shown.preference.map(percent).join(" / ");
    const stored = shown.exact ? "Measured in the run." : `Nearest stored point: ${shares}.`;
    place.textContent = lost ? `${lost} ${stored}` : shown.live ? `Measured just now, in ${Math.max(1, Math.round(shown.seconds * 1000))} ms.` : stored;
  });
}
