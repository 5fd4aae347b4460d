"use strict";
// Details on hover and focus. Everything on the page can be read without this; text is only ever set as text.
(() => {
  const tip = document.getElementById("tip");
  const svg = "http://www.w3.org/2000/svg";

  let again = null; // what the keyboard focus shows, to be placed anew when focusing made the page scroll
  const hide = () => { again = null; tip.hidden = true; };
  const show = (text, x, y) => {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const left = Math.min(Math.max(8, x - box.width / 2), innerWidth - box.width - 8);
    const above = y - box.height - 12;
    tip.style.left = `${left}px`;
    tip.style.top = `${above < 8 ? y + 16 : above}px`;
  };
  const showAt = (mark) => {
    const box = mark.getBoundingClientRect();
    show(mark.dataset.tip, box.left + box.width / 2, box.top);
  };

  // The name stays in aria-label; as a title element it would also pop up over every detail shown here.
  for (const title of document.querySelectorAll("svg[aria-label] > title")) title.remove();

  const marked = (event) => (event.target instanceof Element ? event.target.closest("[data-tip]") : null);
  document.addEventListener("pointerover", (event) => { const mark = marked(event); if (mark) showAt(mark); });
  document.addEventListener("pointerout", (event) => { if (marked(event)) hide(); });
  document.addEventListener("focusin", (event) => {
    const mark = marked(event);
    if (mark) (again = () => showAt(mark))();
  });
  document.addEventListener("focusout", hide);
  document.addEventListener("scroll", () => (again ? again() : hide()), { passive: true, capture: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  const walk = (target, count, current, go) => target.addEventListener("keydown", (event) => {
    const to = { ArrowLeft: current() - 1, ArrowRight: current() + 1, Home: 0, End: count - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    go(Math.min(Math.max(to, 0), count - 1));
  });

  for (const chart of document.querySelectorAll("svg[data-points]")) {
    const points = JSON.parse(chart.dataset.points);
    const layer = chart.querySelector(".crosshair");
    const { top, bottom } = chart.dataset;
    let at = points.length - 1;
    const add = (name, attributes) => {
      const mark = document.createElementNS(svg, name);
      for (const [key, value] of Object.entries(attributes)) mark.setAttribute(key, value);
      layer.append(mark);
      return mark;
    };
    const clear = () => { layer.replaceChildren(); hide(); };
    const go = (index) => {
      at = index;
      const [x, text, ys] = points[at];
      layer.replaceChildren();
      const line = add("line", { x1: x, x2: x, y1: top, y2: bottom });
      for (const y of ys) add("circle", { cx: x, cy: y, r: 4 });
      const box = line.getBoundingClientRect();
      show(text, box.left, box.top);
    };
    chart.addEventListener("pointermove", (event) => {
      const box = chart.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width * chart.viewBox.baseVal.width;
      go(points.reduce((best, point, i) => Math.abs(point[0] - x) < Math.abs(points[best][0] - x) ? i : best, 0));
    });
    chart.addEventListener("pointerleave", clear);
    chart.addEventListener("focus", () => { if (chart.matches(":focus-visible")) (again = () => go(at))(); });
    chart.addEventListener("blur", clear);
    walk(chart, points.length, () => at, go);
  }

  for (const strip of document.querySelectorAll("svg[data-cells]")) {
    const cells = [...strip.querySelectorAll("[data-tip]")];
    let at = 0;
    const clear = () => cells.forEach((cell) => cell.classList.remove("on"));
    const go = (index) => {
      at = index;
      clear();
      cells[at].classList.add("on");
      showAt(cells[at]);
    };
    strip.addEventListener("focus", () => { if (strip.matches(":focus-visible")) (again = () => go(at))(); });
    strip.addEventListener("blur", clear);
    walk(strip, cells.length, () => at, go);
  }

  const slider = document.getElementById("conflict-window");
  if (slider) {
    const names = slider.dataset.names.split("|");
    const cells = [...document.querySelectorAll("td[data-values]")].map((cell) => [cell, cell.dataset.values.split(" ")]);
    slider.closest("[hidden]").hidden = false;
    slider.addEventListener("input", () => {
      const index = Number(slider.value);
      slider.parentElement.querySelector("output").textContent = names[index];
      for (const [cell, values] of cells) {
        const value = Number(values[index]);
        const known = Number.isFinite(value);
        cell.textContent = known ? value.toFixed(2).replace(/^-(?=0\.00$)/, "").replace("-", "\u2212") : "\u2013";
        cell.className = known ? `q${Math.round(value * 10) || 0}` : "q-none";
      }
    });
  }

  for (const button of document.querySelectorAll("[data-copy]")) {
    const source = document.getElementById(button.dataset.copy);
    button.hidden = false;
    const said = (word) => { button.textContent = word; setTimeout(() => { button.textContent = "Copy"; }, 1600); };
    const select = () => { getSelection().selectAllChildren(source); said("Selected"); };
    button.addEventListener("click", () => {
      if (!navigator.clipboard) { select(); return; }
      navigator.clipboard.writeText(source.textContent).then(() => said("Copied"), select);
    });
  }

  let folded = [];
  addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const part of folded) part.open = true;
  });
  addEventListener("afterprint", () => { for (const part of folded) part.open = false; });
})();
