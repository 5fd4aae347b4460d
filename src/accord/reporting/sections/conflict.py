"""Where gradients of two tasks pull against each other: cosines of all pairs over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from accord.reporting.history import Series, mean_over_seeds
from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import percent
from accord.reporting.parts import Section, figure, responsive, table
from accord.reporting.run import Run, TaskInfo
from accord.reporting.sections.curves import lines_of, sampled
from accord.reporting.svg.downsample import windows
from accord.reporting.svg.heat import cell_text, level, strip
from accord.reporting.svg.line_chart import LineChart, line_chart
from accord.reporting.svg.text import shorten

COLUMNS, WINDOWS = 48, 8
PAIRS, MATRIX = 15, 16
Pair = tuple[TaskInfo, TaskInfo]


def conflict(run: Run) -> Section | None:
    """Return cosines over training, or ``None`` when none were recorded."""
    pairs = _pairs(run)
    if not pairs:
        return None
    lead = "Cosine between the tasks' gradients on the shared weights: below zero they pull against each other."
    body = _line(*next(iter(pairs.items()))) if len(pairs) == 1 else el("div", _many(run, pairs))
    return Section("conflict", "Gradient conflict", body, lead)


def _pairs(run: Run) -> dict[Pair, Mapping[int, Series]]:
    tasks = {task.name: task for task in run.tasks}
    found: dict[Pair, Mapping[int, Series]] = {}
    for (a, b), seeds in run.history.pairs().items():
        known = a in tasks and b in tasks and a != b
        if known and any(np.isfinite(s.values).any() for s in seeds.values()):
            first, second = sorted((tasks[a], tasks[b]), key=lambda task: task.index)
            found.setdefault((first, second), seeds)
    return found


def _line(pair: Pair, seeds: Mapping[int, Series]) -> Markup:
    title = f"{pair[0].name} and {pair[1].name}"
    clean = mean_over_seeds(seeds)
    about = f"Mean {cell_text(_mean(seeds))}; below zero {percent(_share(seeds))} of the time."
    chart = LineChart(
        f"Cosine between the gradients of {title}", about, lines_of(seeds, "accent", "cosine"), limits=(-1.0, 1.0),
        emphasise=0.0, shade_below=0.0,
    )  # fmt: skip
    data = sampled({"Cosine": clean}, f"Cosine, {title}")
    caption = ["Cosine between ", bdi(pair[0].name), " and ", bdi(pair[1].name)]
    return figure("conflict-figure", caption, responsive(lambda size: line_chart(chart, size)), data, note=about)


def _many(run: Run, pairs: Mapping[Pair, Mapping[int, Series]]) -> list[Markup | None]:
    edges = _edges(pairs)
    windows = {pair: _windowed(seeds, np.linspace(edges[0], edges[1], WINDOWS + 1)) for pair, seeds in pairs.items()}
    involved = [t for t in run.tasks if any(t in pair for pair in pairs)]
    parts = [_legend()]
    parts += [_matrix(involved, pairs, windows, edges)] if len(involved) <= MATRIX else []
    return [*parts, _strips(pairs, edges)]


def _matrix(tasks: Sequence[TaskInfo], pairs: Mapping[Pair, Mapping[int, Series]],
            windows: Mapping[Pair, np.ndarray], edges: tuple[float, float]) -> Markup:  # fmt: skip
    head = el("tr", el("td"), [el("th", _short(t), scope="col", title=t.name) for t in tasks])
    rows = []
    for a in tasks:
        cells = [_cell(a, b, pairs, windows) for b in tasks]
        rows.append(el("tr", el("th", _short(a), scope="row", title=a.name), cells))
    caption = el("caption", "Mean cosine between the gradients of each pair of tasks", class_="unseen")
    inner = el("table", caption, el("thead", head), el("tbody", rows), class_="matrix")
    box = el("div", inner, class_="scroll", role="region", aria_label="Gradient cosine of each pair", tabindex=0)
    return figure("conflict-figure", "Mean over training, per pair of tasks", [_slider(edges), box])


def _short(task: TaskInfo) -> Markup:
    return bdi(shorten(task.name, 150))


def _slider(edges: tuple[float, float]) -> Markup:
    marks = np.linspace(edges[0], edges[1], WINDOWS + 1)
    names = ["whole run", *(f"steps {a:,.0f} to {b:,.0f}" for a, b in pairwise(marks))]
    slider = el("input", type="range", min=0, max=WINDOWS, value=0, id="conflict-window", data_names="|".join(names))
    # Shown by the script: without it the slider could not do anything.
    label = el("label", "Part of training", for_="conflict-window")
    return el("div", label, slider, el("output", names[0], for_="conflict-window"), class_="slider", hidden=True)


def _cell(a: TaskInfo, b: TaskInfo, pairs: Mapping[Pair, Mapping[int, Series]],
          windows: Mapping[Pair, np.ndarray]) -> Markup:  # fmt: skip
    if a.index == b.index:
        return el("td", el("span", "same task", class_="unseen"), class_="self")
    pair = (a, b) if a.index < b.index else (b, a)
    if pair not in pairs:
        return el("td", "–", class_="q-none")
    values = [_mean(pairs[pair]), *windows[pair]]
    return el("td", cell_text(values[0]), class_=level(values[0]), data_values=" ".join(f"{v:.2f}" for v in values))


def _strips(pairs: Mapping[Pair, Mapping[int, Series]], edges: tuple[float, float]) -> Markup:
    shown = sorted(pairs, key=lambda pair: _mean(pairs[pair]))[:PAIRS]
    marks = np.linspace(edges[0], edges[1], COLUMNS + 1)
    rows = [_strip(pair, pairs[pair], marks) for pair in shown]
    axis = el("div", el("span", f"step {edges[0]:,.0f}"), el("span", f"{edges[1]:,.0f}"), class_="strip-axis")
    every = [[_name(pair), cell_text(_mean(s)), percent(_share(s))] for pair, s in sorted(pairs.items(), key=_by_mean)]
    data = table("All pairs", ["Pair", "Mean cosine", "Below zero"], every)
    title = "Over training, most conflicting pair first"
    title += f" ({PAIRS} of {len(pairs)} pairs)" if len(pairs) > PAIRS else ""
    return figure("conflict-strips", title, el("div", rows, axis, class_="strips"), data)


def _strip(pair: Pair, seeds: Mapping[int, Series], marks: np.ndarray) -> Markup:
    values = _windowed(seeds, marks)
    name = f"{pair[0].name} and {pair[1].name}"
    spans = [f"steps {a:,.0f} to {b:,.0f}" for a, b in pairwise(marks)]
    tips = [f"{name}\n{span}\ncosine {cell_text(v)}" for span, v in zip(spans, values, strict=True)]
    about = f"{name}: mean cosine {cell_text(_mean(seeds))}, below zero {percent(_share(seeds))} of the time"
    row = [el("span", _name(pair), class_="pair-name", title=name), strip(list(values), tips, height=22, name=about)]
    return el("div", row, el("span", cell_text(_mean(seeds)), class_="amount"), class_="strip-row")


def _legend() -> Markup:
    cells = [el("span", class_=f"key {level(v / 10)}") for v in range(-10, 11, 2)]
    return el(
        "p", "conflict −1 ", el("span", cells, class_="keys", aria_hidden="true"), " +1 agreement", class_="legend"
    )


def _name(pair: Pair) -> list[object]:
    return [bdi(pair[0].name), " × ", bdi(pair[1].name)]


def _edges(pairs: Mapping[Pair, Mapping[int, Series]]) -> tuple[float, float]:
    steps = np.concatenate([s.steps for seeds in pairs.values() for s in seeds.values()])
    low, high = float(steps.min()), float(steps.max())
    return (low, high) if high > low else (low, low + 1)


def _windowed(seeds: Mapping[int, Series], edges: np.ndarray) -> np.ndarray:
    return windows(*_all(seeds), edges)


def _all(seeds: Mapping[int, Series]) -> tuple[np.ndarray, np.ndarray]:
    return np.concatenate([s.steps for s in seeds.values()]), np.concatenate([s.values for s in seeds.values()])


def _mean(seeds: Mapping[int, Series]) -> float:
    values = _all(seeds)[1]
    return float(values[np.isfinite(values)].mean())


def _share(seeds: Mapping[int, Series]) -> float:
    values = _all(seeds)[1]
    return float((values[np.isfinite(values)] < 0).mean())


def _by_mean(item: tuple[Pair, Mapping[int, Series]]) -> float:
    return _mean(item[1])
