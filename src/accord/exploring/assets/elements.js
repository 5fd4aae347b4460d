// Elements of HTML and SVG. Text only ever becomes text, so no name can become code.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

export function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

export function byId(id) {
  return document.getElementById(id);
}

const COLOURS = 8;

// The same classes as those of the reports: beyond eight tasks, colours come again with another shape.
export function tint(task) {
  const turn = Math.floor(task / COLOURS) % 3;
  return `t${task % COLOURS}${turn ? ` turn${turn}` : ""}`;
}

export function taskName(name, task) {
  const swatch = html("span", { class: "swatch", "aria-hidden": "true" });
  return html("span", { class: `task ${tint(task)}` }, swatch, html("bdi", {}, name));
}

export function unseen(text) {
  return html("span", { class: "unseen" }, text);
}
