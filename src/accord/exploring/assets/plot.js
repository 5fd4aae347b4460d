// The front over two axes: stored points, baselines, limits, and the model that is shown.

import { axisTitle } from "./axes.js";
import { byId, svg } from "./elements.js";
import { drawFrame, makeFrame } from "./frame.js";
import { drawBaselines, drawLabels } from "./landmarks.js";
import { keptFlags } from "./limits.js";
import { mark } from "./marks.js";
import { fixed, interval } from "./numbers.js";
import { say } from "./say.js";
import { drawShade, makeHandles } from "./shade.js";
import { sharesText } from "./simplex.js";
import { hideTip, showTip } from "./tip.js";

const REACH_PX = 28;

export function setUpPlot(front, store, prefer) {
  const place = byId("plot");
  const chart = svg("svg", {
    class: "chart", tabindex: 0, role: "application", "aria-roledescription": "plot",
  });
  place.append(chart);
  let drawn = null;

  const draw = () => {
    const width = Math.max(Math.round(place.clientWidth), 240);
    const height = Math.round(Math.min(Math.max(width * 0.72, 280), 500));
    const { state } = store;
    const frame = makeFrame(front, state, width, height);
    const moving = svg("g", { class: "moving" });
    chart.setAttribute("viewBox", `0 0 ${width} ${height}`);
    chart.setAttribute("aria-label", label(front, state));
    chart.replaceChildren(
      drawShade(front, state, frame), drawFrame(front, state, frame), drawPath(front, state, frame),
      drawBaselines(front, state, frame), drawPoints(front, state, frame), moving, drawLabels(front, state, frame),
      makeHandles(front, store, frame, chart),
    );
    drawn = { frame, moving, at: -1 };
    move();
  };
  const move = () => drawn.moving.replaceChildren(...drawShown(store.state, drawn.frame));

  const at = (index) => {
    for (const other of chart.querySelectorAll(".at")) other.classList.remove("at");
    drawn.at = index;
    if (index < 0) { hideTip(); return; }
    const dot = chart.querySelector(`[data-place="${index}"]`);
    dot.classList.add("at");
    const box = dot.getBoundingClientRect();
    showTip(detail(front, store.state, index), box.left + box.width / 2, box.top);
  };
  const under = (event) => {
    const box = chart.getBoundingClientRect();
    const { x, y } = { x: event.clientX - box.left, y: event.clientY - box.top };
    const far = front.points.map((point) => {
      const [px, py] = spot(store.state, drawn.frame, point);
      return px === null ? Infinity : Math.hypot(px - x, py - y);
    });
    const best = far.indexOf(Math.min(...far));
    return far[best] <= REACH_PX ? best : -1;
  };

  chart.addEventListener("pointermove", (event) => { if (event.pointerType === "mouse") at(under(event)); });
  chart.addEventListener("pointerleave", () => at(-1));
  chart.addEventListener("blur", () => at(-1));
  chart.addEventListener("click", (event) => {
    const index = under(event);
    if (index >= 0) prefer(front.points[index].preference);
  });
  chart.addEventListener("keydown", (event) => {
    const order = walkOrder(front, store.state);
    const here = order.indexOf(drawn.at);
    const to = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: order.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      const index = order[Math.min(Math.max(to, 0), order.length - 1)];
      at(index);
      say(detail(front, store.state, index).replaceAll("\n", ", "));
    } else if ((event.key === "Enter" || event.key === " ") && drawn.at >= 0) {
      event.preventDefault();
      prefer(front.points[drawn.at].preference);
    }
  });

  store.on(["x", "y", "bounds", "cautious"], draw);
  store.on(["shown"], move);
  new ResizeObserver(draw).observe(place);
}

// Where a column stands; null where one of its numbers is missing.
function spot(state, frame, column) {
  const [x, y] = [column.value[state.x], column.value[state.y]];
  return x === null || y === null ? [null, null] : [frame.x.place(x), frame.y.place(y)];
}

function walkOrder(front, state) {
  return front.points.map((_, i) => i).filter((i) => front.points[i].value[state.x] !== null && front.points[i].value[state.y] !== null)
    .sort((a, b) => front.points[a].value[state.x] - front.points[b].value[state.x]);
}

// With two tasks a front is a line, in the order of the preference; with more it is a cloud.
function drawPath(front, state, frame) {
  if (front.tasks.length !== 2 || !front.steerable) return svg("g");
  const order = front.points.map((_, i) => i).sort((a, b) => front.points[a].preference[1] - front.points[b].preference[1]);
  const spots = order.map((i) => spot(state, frame, front.points[i])).filter(([x]) => x !== null);
  return svg("path", { class: "path", d: spots.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("") });
}

function drawPoints(front, state, frame) {
  return svg("g", {}, front.points.flatMap((point, i) => {
    const [x, y] = spot(state, frame, point);
    if (x === null) return [];
    const dot = mark("point", x, y);
    dot.classList.toggle("fails", !keptFlags(front, state)[i]);
    dot.classList.toggle("dominated", point.dominated);
    dot.dataset.place = i;
    return i === front.knee ? [mark("knee", x, y), dot] : [dot];
  }));
}

function drawShown(state, frame) {
  const { shown } = state;
  const [x, y] = spot(state, frame, shown);
  if (x === null) return [];
  const whisker = (index, scale, line) => (shown.low[index] === null ? [] : [svg("line", {
    class: "whisker", ...line(scale.place(scale.inside(shown.low[index])), scale.place(scale.inside(shown.high[index]))),
  })]);
  return [
    ...whisker(state.x, frame.x, (a, b) => ({ x1: a, x2: b, y1: y, y2: y })),
    ...whisker(state.y, frame.y, (a, b) => ({ y1: a, y2: b, x1: x, x2: x })),
    mark("shown", x, y),
  ];
}

function detail(front, state, index) {
  const point = front.points[index];
  const line = (i) => {
    const { places } = front.axes[i];
    return `${axisTitle(front, front.axes[i])}  ${fixed(point.value[i], places)} ${interval(point.low[i], point.high[i], places)}`;
  };
  const remarks = [index === front.knee ? "knee" : "", point.dominated ? "dominated" : ""].filter(Boolean).join(", ");
  return [sharesText(point.preference, front.tasks), line(state.x), line(state.y), remarks].filter(Boolean).join("\n");
}

function label(front, state) {
  const { x, y, bounds } = state;
  const kept = keptFlags(front, state).filter(Boolean).length;
  const limits = bounds.some((bound) => bound !== null) ? ` ${kept} of them keep all limits.` : "";
  return `${front.points.length} stored points: ${axisTitle(front, front.axes[x])} across, ${axisTitle(front, front.axes[y])} up.${limits}`;
}
