// The signs of the plot, the strips and the legend: told apart by shape first, by colour second.

import { svg } from "./elements.js";

const RADIUS = 4;

export function mark(kind, x, y, size = RADIUS) {
  const at = { transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})`, class: `mark-${kind}` };
  if (kind === "knee") return svg("path", { ...at, d: diamond(size * 2.1) });
  if (kind === "single") return svg("path", { ...at, d: triangle(size * 1.5) });
  if (kind === "balanced") return svg("rect", { ...at, x: -size * 1.2, y: -size * 1.2, width: size * 2.4, height: size * 2.4 });
  if (kind === "shown") return svg("g", at, svg("circle", { class: "halo", r: size * 2.6 }), svg("circle", { class: "core", r: size * 1.5 }));
  return svg("circle", { ...at, r: size });
}

function diamond(r) {
  return `M0 ${-r}L${r} 0L0 ${r}L${-r} 0Z`;
}

function triangle(r) {
  return `M0 ${-r}L${(r * 0.9).toFixed(2)} ${r * 0.7}H${(-r * 0.9).toFixed(2)}Z`;
}

// How a baseline looks, and what it is called.
export function baselineKind(baseline) {
  return baseline.task === null ? "balanced" : "single";
}

export function baselineName(baseline) {
  return baseline.task === null ? baseline.name : "single-task";
}
