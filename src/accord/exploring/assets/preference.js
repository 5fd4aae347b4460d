// The control that fits the number of tasks: a slider for two, a triangle for three, a slider each for more.

import { byId } from "./elements.js";
import { setUpParallel } from "./parallel.js";
import { setUpPair } from "./pair.js";
import { setUpTriangle } from "./triangle.js";

export function setUpPreference(front, store, prefer) {
  const place = byId("preference");
  const tasks = front.tasks.length;
  byId("steer").classList.add(tasks === 2 ? "two" : tasks === 3 ? "three" : "many");
  if (tasks === 2) {
    setUpPair(place, front, store, prefer);
    return;
  }
  if (tasks === 3) setUpTriangle(place, front, store, prefer);
  setUpParallel(place, front, store, prefer);
}
