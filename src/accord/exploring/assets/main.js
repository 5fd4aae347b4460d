// Puts the page together.

import { readAddress, setUpAddress } from "./address.js";
import { setUpAxes, startAxes } from "./axes.js";
import { setUpChoices } from "./choices.js";
import { byId, svg } from "./elements.js";
import { setUpExport } from "./export.js";
import { setUpLegend } from "./legend.js";
import { makeMeasure, storedColumn } from "./measure.js";
import { setUpPlot } from "./plot.js";
import { setUpPreference } from "./preference.js";
import { setUpRows } from "./rows.js";
import { setUpSaying } from "./say.js";
import { equalShares } from "./simplex.js";
import { setUpSource } from "./source.js";
import { makeStore } from "./store.js";
import { setUpTable } from "./table.js";
import { setUpTip } from "./tip.js";

// The hatching of what limits leave out, for all pictures of the page.
function hatching() {
  return svg("svg", { class: "unseen", "aria-hidden": "true" }, svg("defs", {},
    svg("pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" },
      svg("rect", { class: "hatch-ground", width: 6, height: 6 }), svg("line", { class: "hatch-line", y2: 6, x1: 1, x2: 1 }))));
}

function start() {
  const front = JSON.parse(byId("front-data").textContent);
  const given = readAddress(front);
  const [x, y] = startAxes(front);
  const wanted = given.preference ?? (front.knee === null ? equalShares(front.tasks.length) : front.points[front.knee].preference);
  const store = makeStore({
    wanted, shown: storedColumn(front, wanted), busy: false, lost: "",
    x: given.x ?? x, y: given.y ?? y, bounds: given.bounds, cautious: given.cautious,
  });
  const prefer = makeMeasure(front, store);
  document.body.append(hatching());
  setUpTip();
  setUpAxes(front, store);
  setUpPlot(front, store, prefer);
  setUpLegend(front, store);
  setUpPreference(front, store, prefer);
  setUpChoices(front, store, prefer);
  setUpSource(front, store);
  setUpRows(front, store);
  setUpExport(front, store);
  setUpTable(front, store, prefer);
  setUpSaying(front, store);
  setUpAddress(store);
  document.documentElement.classList.add("ready");
  prefer(wanted);
}

start();
