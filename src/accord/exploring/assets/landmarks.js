// What one compares with: baselines on the plot, and names beside them.

import { svg } from "./elements.js";
import { baselineKind, baselineName, mark } from "./marks.js";
import { textWidth } from "./text.js";

// Single-task models know one task each, so two of them make a point: the crossing of what each reaches alone.
function singlePoint(front, state) {
  const of = (index) => {
    const found = front.baselines.find((one) => one.task === front.axes[index].task && one.value[index] !== null);
    return found ? found.value[index] : null;
  };
  return { x: of(state.x), y: of(state.y) };
}

export function drawBaselines(front, state, frame) {
  const { area } = frame;
  const single = singlePoint(front, state);
  const parts = [];
  if (single.x !== null) {
    const x = frame.x.place(single.x);
    parts.push(svg("line", { class: "alone", x1: x, x2: x, y1: area.top, y2: area.bottom }));
  }
  if (single.y !== null) {
    const y = frame.y.place(single.y);
    parts.push(svg("line", { class: "alone", x1: area.left, x2: area.right, y1: y, y2: y }));
  }
  return svg("g", { class: "baselines" }, parts, landmarks(front, state, frame).map(({ kind, x, y }) => mark(kind, x, y)));
}

function landmarks(front, state, frame) {
  const found = front.baselines.filter((one) => baselineKind(one) === "balanced").flatMap((one) => {
    const [x, y] = [one.value[state.x], one.value[state.y]];
    return x === null || y === null ? [] : [{ kind: "balanced", name: baselineName(one), x: frame.x.place(x), y: frame.y.place(y) }];
  });
  const { x, y } = singlePoint(front, state);
  return x === null || y === null ? found : [...found, { kind: "single", name: "single-task", x: frame.x.place(x), y: frame.y.place(y) }];
}

const LINE = 15;

export function drawLabels(front, state, frame) {
  const marks = landmarks(front, state, frame);
  const knee = front.points[front.knee];
  if (knee && knee.value[state.x] !== null && knee.value[state.y] !== null) {
    marks.push({ kind: "knee", name: "knee", x: frame.x.place(knee.value[state.x]), y: frame.y.place(knee.value[state.y]) });
  }
  // From the top, so that names that make room for each other stay in the order of their marks.
  marks.sort((a, b) => a.y - b.y);
  const taken = [];
  return svg("g", { class: "labels" }, marks.map(({ kind, name, x, y }) => {
    const width = textWidth(name, "600 12px");
    const left = x + 14 + width > frame.area.right;
    const start = left ? x - 14 - width : x + 14;
    // Moved down until it is on top of no other name; up where that would leave the plot.
    const step = y + LINE * 3 > frame.area.bottom ? -LINE : LINE;
    // A knee is often the point that is shown, whose interval would run through its name.
    let at = kind === "knee" ? y - 8 : y + 4;
    while (taken.some((box) => Math.abs(box.y - at) < LINE && start < box.end && box.start < start + width)) at += step;
    taken.push({ y: at, start, end: start + width });
    return svg("text", { class: `label label-${kind}`, x: left ? x - 14 : x + 14, y: at, "text-anchor": left ? "end" : "start" }, name);
  }));
}
