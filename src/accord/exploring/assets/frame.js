// The plot's axes: grid, ticks and names, and the two scales.

import { axisTitle } from "./axes.js";
import { svg } from "./elements.js";
import { fixed } from "./numbers.js";
import { axisReach, makeScale, ticks } from "./scale.js";
import { shorten, textWidth } from "./text.js";

const MARGIN = { left: 64, right: 20, top: 36, bottom: 56 };
const NARROW = { left: 48, right: 12, top: 36, bottom: 56 };
const PX_PER_TICK = { x: 84, y: 56 };

export function makeFrame(front, state, width, height) {
  const margin = width < 480 ? NARROW : MARGIN;
  const area = { left: margin.left, right: width - margin.right, top: margin.top, bottom: height - margin.bottom };
  return {
    area,
    x: makeScale(...axisReach(front, state.x), area.left, area.right),
    y: makeScale(...axisReach(front, state.y), area.bottom, area.top),
  };
}

export function drawFrame(front, state, frame) {
  const { area } = frame;
  const across = ticks(frame.x.low, frame.x.high, (area.right - area.left) / PX_PER_TICK.x);
  const up = ticks(frame.y.low, frame.y.high, (area.bottom - area.top) / PX_PER_TICK.y);
  return svg("g", { class: "frame" },
    across.values.map((value) => {
      const x = frame.x.place(value);
      return [
        svg("line", { class: "grid", x1: x, x2: x, y1: area.top, y2: area.bottom }),
        svg("text", { x, y: area.bottom + 21, "text-anchor": "middle" }, fixed(value, across.places)),
      ];
    }),
    up.values.map((value) => {
      const y = frame.y.place(value);
      return [
        svg("line", { class: "grid", x1: area.left, x2: area.right, y1: y, y2: y }),
        svg("text", { x: area.left - 8, y: y + 4, "text-anchor": "end" }, fixed(value, up.places)),
      ];
    }),
    svg("path", { class: "axis", d: `M${area.left} ${area.top}V${area.bottom}H${area.right}` }),
    name(front, state.y, "\u2191", "\u2193", { x: 4, y: 16, "text-anchor": "start" }, area.right - 4),
    name(front, state.x, "\u2192", "\u2190", { x: area.right, y: area.bottom + 45, "text-anchor": "end" }, area.right - 8),
  );
}

// The arrow points to where it is better.
function name(front, index, more, less, place, room) {
  const axis = front.axes[index];
  const words = `${axis.higher ? more : less} better`;
  const short = shorten(axisTitle(front, axis), room - textWidth(words, "600 12px") - 12, "italic 12px");
  return svg("text", { class: "axis-name", ...place }, `${short}  `, svg("tspan", { class: "better" }, words));
}
