// Ways to go somewhere at once, and what the limits leave to choose from.

import { byId, html } from "./elements.js";
import { bestPoint, keptFlags } from "./limits.js";
import { say } from "./say.js";
import { equalShares } from "./simplex.js";

export function setUpChoices(front, store, prefer) {
  const go = (text, preference) => html("button", { type: "button", onclick: () => prefer(preference()) }, text);
  byId("jumps").append(go("Equal shares", () => equalShares(front.tasks.length)));
  if (front.knee !== null) byId("jumps").append(go("Knee", () => front.points[front.knee].preference));

  const best = html("button", { type: "button", class: "primary", id: "best" });
  const clear = html("button", { type: "button" }, "Remove limits");
  const cautious = html("input", { type: "checkbox", id: "cautious" });
  const said = html("p", { id: "kept" });
  const found = () => bestPoint(front.axes, front.points, store.state.bounds, store.state.cautious);
  best.addEventListener("click", () => prefer(front.points[found().index].preference));
  clear.addEventListener("click", () => store.set({ bounds: front.axes.map(() => null) }));
  cautious.addEventListener("change", () => store.set({ cautious: cautious.checked }));
  const hint = html("p", { class: "note" }, "Drag a handle on a line above, or type a number, to say what is the least you accept.");
  const tools = html("div", { class: "limit-tools" }, said, html("div", { class: "buttons" }, best, clear),
    html("label", { class: "check" }, cautious, "Count a limit as kept only if the whole interval keeps it"));
  byId("limits").append(hint, tools);

  let told = "";
  store.on(["bounds", "cautious"], (state) => {
    const limited = state.bounds.some((bound) => bound !== null);
    hint.hidden = limited;
    tools.hidden = !limited;
    cautious.checked = state.cautious;
    if (!limited) return;
    const { kept } = found();
    said.textContent = limitsText(front, state);
    best.textContent = kept ? "Go to the best of them" : "Go to the nearest miss";
    if (told && told !== said.textContent) say(said.textContent, 500);
    told = said.textContent;
  });
}

function limitsText(front, state) {
  const count = keptFlags(front, state).filter(Boolean).length;
  const all = front.points.length;
  const many = state.bounds.filter((bound) => bound !== null).length;
  const limits = many === 1 ? "the limit" : `all ${many} limits`;
  if (count === 0) return `None of ${all} stored points keeps ${limits}.`;
  return `${count} of ${all} stored points ${count === 1 ? "keeps" : "keep"} ${limits}.`;
}
