// Three tasks: every place in the triangle is a preference; the nearer a corner, the more its task matters.

import { html, svg, tint } from "./elements.js";
import { keptFlags } from "./limits.js";
import { fromTriangle, sharesText, toTriangle } from "./simplex.js";
import { shorten } from "./text.js";

const [WIDTH, TOP, BOTTOM, SIDE] = [320, 30, 34, 250];
const HEIGHT = TOP + BOTTOM + SIDE * Math.sqrt(3) / 2;
const LEFT = (WIDTH - SIDE) / 2;
const KEY_STEP = 0.02;

export function setUpTriangle(place, front, store, prefer) {
  const points = svg("g");
  const thumb = svg("circle", { class: "thumb", r: 10 });
  const shown = svg("circle", { class: "shown-dot", r: 4 });
  const corners = [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map(toPicture);
  const chart = svg("svg", {
    id: "triangle", viewBox: `0 0 ${WIDTH} ${HEIGHT.toFixed(0)}`, tabindex: 0, role: "slider", "aria-roledescription": "triangle",
    "aria-label": `Preference between ${front.tasks.join(", ")}`, "aria-valuemin": 0, "aria-valuemax": 100,
  },
  svg("path", { class: "ground", d: `M${corners.map((corner) => corner.join(" ")).join("L")}Z` }),
  gridLines(), points, cornerNames(front, corners), shown, thumb);
  place.append(html("div", { class: "triangle" }, chart));

  const follow = (event) => {
    const box = chart.getBoundingClientRect();
    const scale = WIDTH / box.width;
    prefer(fromPicture((event.clientX - box.left) * scale, (event.clientY - box.top) * scale));
  };
  chart.addEventListener("pointerdown", (event) => {
    chart.setPointerCapture(event.pointerId);
    follow(event);
  });
  chart.addEventListener("pointermove", (event) => { if (chart.hasPointerCapture(event.pointerId)) follow(event); });
  chart.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [x, y] = toTriangle(store.state.wanted);
    prefer(fromTriangle(x + step[0] * KEY_STEP, y + step[1] * KEY_STEP));
  });

  store.on(["bounds", "cautious"], (state) => points.replaceChildren(...front.points.map((point, i) => {
    const [cx, cy] = toPicture(point.preference);
    const kept = keptFlags(front, state)[i];
    return svg("circle", { cx, cy, r: 3, class: `stored${kept ? "" : " fails"}${i === front.knee ? " knee" : ""}` });
  })));
  store.on(["wanted", "shown"], (state) => {
    const [cx, cy] = toPicture(state.wanted);
    const [sx, sy] = toPicture(state.shown.preference);
    for (const [key, value] of Object.entries({ cx, cy })) thumb.setAttribute(key, value.toFixed(2));
    for (const [key, value] of Object.entries({ cx: sx, cy: sy })) shown.setAttribute(key, value.toFixed(2));
    chart.setAttribute("aria-valuenow", Math.round(state.wanted[0] * 100));
    chart.setAttribute("aria-valuetext", sharesText(state.wanted, front.tasks));
  });
}

function toPicture(preference) {
  const [x, y] = toTriangle(preference);
  return [LEFT + x * SIDE, HEIGHT - BOTTOM - y * SIDE];
}

function fromPicture(x, y) {
  return fromTriangle((x - LEFT) / SIDE, (HEIGHT - BOTTOM - y) / SIDE);
}

function gridLines() {
  const lines = [0.25, 0.5, 0.75].flatMap((share) => [0, 1, 2].map((task) => {
    const end = (other) => toPicture([0, 1, 2].map((i) => (i === task ? share : i === other ? 1 - share : 0)));
    const [[x1, y1], [x2, y2]] = [end((task + 1) % 3), end((task + 2) % 3)];
    return svg("line", { class: "grid", x1, y1, x2, y2 });
  }));
  return svg("g", {}, lines);
}

function cornerNames(front, corners) {
  const places = [
    { x: 2, y: HEIGHT - 10, "text-anchor": "start" },
    { x: WIDTH - 2, y: HEIGHT - 10, "text-anchor": "end" },
    { x: corners[2][0], y: 16, "text-anchor": "middle" },
  ];
  return svg("g", {}, places.map((attributes, task) => {
    const name = shorten(front.tasks[task], WIDTH / 2 - 8, "600 13px");
    return svg("text", { class: `corner ${tint(task)}`, ...attributes }, name);
  }));
}
