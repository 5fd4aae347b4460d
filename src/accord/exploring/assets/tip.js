// A small note beside what the pointer or the keyboard is at. Everything in it can be read elsewhere too.

import { byId } from "./elements.js";

export function showTip(text, x, y) {
  const tip = byId("tip");
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const above = y - box.height - 12;
  tip.style.left = `${Math.min(Math.max(8, x - box.width / 2), innerWidth - box.width - 8)}px`;
  tip.style.top = `${above < 8 ? y + 16 : above}px`;
}

export function hideTip() {
  byId("tip").hidden = true;
}

export function setUpTip() {
  addEventListener("scroll", hideTip, { passive: true, capture: true });
  addEventListener("keydown", (event) => { if (event.key === "Escape") hideTip(); });
}
