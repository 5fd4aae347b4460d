// Limits in the plot: what lies beyond is hatched, and the line can be dragged.

import { svg } from "./elements.js";
import { fixed } from "./numbers.js";

export function drawShade(front, state, frame) {
  const { area } = frame;
  const parts = [["x", state.x], ["y", state.y]].flatMap(([way, index]) => {
    const bound = state.bounds[index];
    if (bound === null) return [];
    const edge = clamped(frame, way, bound);
    const low = front.axes[index].higher;
    const box = way === "x"
      ? { x: low ? area.left : edge, y: area.top, width: Math.max(low ? edge - area.left : area.right - edge, 0), height: area.bottom - area.top }
      : { x: area.left, y: low ? edge : area.top, width: area.right - area.left, height: Math.max(low ? area.bottom - edge : edge - area.top, 0) };
    return [svg("rect", { class: "beyond", ...box })];
  });
  return svg("g", {}, parts);
}

const REST_PX = 14;
const CROWDED_PX = 32;

function clamped(frame, way, value) {
  const { area } = frame;
  const [low, high] = way === "x" ? [area.left, area.right] : [area.top, area.bottom];
  return Math.min(Math.max(frame[way].place(value), low), high);
}

// For the pointer alone: the strips beside the metrics do the same with the keyboard.
export function makeHandles(front, store, frame, chart) {
  const { state } = store;
  const { area } = frame;
  const ways = state.x === state.y ? [["x", state.x]] : [["x", state.x], ["y", state.y]];
  const across = state.bounds[state.y];
  // Where the line across is at the bottom its words are too; those of the line up then go to the top.
  const crowded = across !== null && area.bottom - clamped(frame, "y", across) < CROWDED_PX;
  return svg("g", { class: "handles", "aria-hidden": "true" }, ways.map(([way, index]) => {
    const axis = front.axes[index];
    const bound = state.bounds[index];
    const worst = axis.higher ? frame[way].low : frame[way].high;
    const at = clamped(frame, way, bound ?? worst);
    const line = way === "x" ? { x1: at, x2: at, y1: area.top, y2: area.bottom } : { x1: area.left, x2: area.right, y1: at, y2: at };
    // Without a limit both wait at the same corner, a little inside of it so that neither hides the other.
    const aside = bound !== null ? 0 : (way === "x") === axis.higher ? REST_PX : -REST_PX;
    const grip = way === "x"
      ? `M${at + aside} ${area.bottom}l-7 10h14z`
      : `M${area.left} ${at + aside}l-10 -7v14z`;
    const set = (event) => {
      const box = chart.getBoundingClientRect();
      const value = frame[way].value(way === "x" ? event.clientX - box.left : event.clientY - box.top);
      const rounded = Number(value.toFixed(axis.places));
      const off = axis.higher ? rounded <= worst : rounded >= worst;
      store.set({ bounds: store.state.bounds.map((old, i) => (i === index ? (off ? null : rounded) : old)) });
    };
    const begin = (event) => {
      event.preventDefault();
      // The plot is drawn anew at each move, so the window follows the pointer and not the grip.
      const end = () => {
        removeEventListener("pointermove", set);
        removeEventListener("pointerup", end);
        removeEventListener("pointercancel", end);
      };
      addEventListener("pointermove", set);
      addEventListener("pointerup", end);
      addEventListener("pointercancel", end);
    };
    const title = `Drag to limit ${front.tasks[axis.task]} ${axis.label}`;
    return svg("g", { class: `handle ${way} ${bound === null ? "off" : "on"}`, onpointerdown: begin },
      svg("title", {}, title),
      bound === null ? [] : [svg("line", { class: "bound", ...line }), svg("line", { class: "grab", ...line }), boundText(way, axis, bound, at, area, crowded)],
      svg("path", { class: "grip", d: grip }),
    );
  }));
}

function boundText(way, axis, bound, at, area, crowded) {
  const text = `${axis.higher ? "\u2265" : "\u2264"} ${fixed(bound, axis.places)}`;
  const right = at > area.right - 64;
  const place = way === "x"
    ? { x: at + (right ? -5 : 5), y: crowded ? area.top + 14 : area.bottom - 6, "text-anchor": right ? "end" : "start" }
    : { x: area.right - 4, y: at - 5 < area.top + 10 ? at + 14 : at - 5, "text-anchor": "end" };
  return svg("text", { class: "label label-bound", ...place }, text);
}
