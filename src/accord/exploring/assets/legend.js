// What the signs mean; only those that are on the plot.

import { byId, html, svg } from "./elements.js";
import { baselineKind, baselineName, mark } from "./marks.js";

export function setUpLegend(front, store) {
  const list = byId("legend");
  store.on(["bounds"], ({ bounds }) => {
    const names = new Set(front.baselines.filter((one) => baselineKind(one) === "balanced").map(baselineName));
    const single = front.baselines.some((one) => baselineKind(one) === "single");
    const limited = bounds.some((bound) => bound !== null);
    list.replaceChildren(
      entry("shown", "this compromise"),
      entry("point", "stored point"),
      ...(limited ? [entry("point", "outside a limit", "fails")] : []),
      ...(front.points.some((point) => point.dominated) ? [entry("point", "dominated", "dominated")] : []),
      ...(front.knee === null ? [] : [entry("knee", "knee")]),
      ...(names.size ? [entry("balanced", [...names].join(", "))] : []),
      ...(single ? [entry("single", "single-task models, one per task")] : []),
    );
  });
}

function entry(kind, text, look) {
  const sign = mark(kind, 11, 11, 3.5);
  if (look) sign.classList.add(look);
  return html("li", {}, svg("svg", { width: 22, height: 22, "aria-hidden": "true" }, sign), text);
}
