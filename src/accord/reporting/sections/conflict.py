"""Where gradients of two tasks pull against each other: cosines of all pairs over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from accord.reporting.cosines import Cosine, cosines, layers, span
from accord.reporting.history import mean_over_seeds
from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import percent
from accord.reporting.parts import Section, figure, matrix, responsive, table
from accord.reporting.run import Run, TaskInfo
from accord.reporting.sections.curves import lines_of, sampled
from accord.reporting.svg.heat import cell_text, level, strip
from accord.reporting.svg.line_chart import LineChart, line_chart
from accord.reporting.svg.text import shorten

COLUMNS, WINDOWS = 48, 8  # stretches of training in a strip, and positions of the slider
PAIRS, MATRIX, LISTED = 15, 16, 200  # strips, tasks of a matrix, and rows of the table that can still be read
By = Mapping[tuple[int, int], Cosine]


def conflict(run: Run) -> Section | None:
    """Return cosines over training, or ``None`` when none were recorded."""
    pairs = cosines(run)
    if not pairs:
        return None
    lead = "Cosine between the tasks' gradients on the shared weights: below zero they pull against each other."
    body = _line(pairs[0]) if len(pairs) == 1 else _many(run, pairs)
    return Section("conflict", "Gradient conflict", el("div", body, _layers(run)), lead)


def _line(pair: Cosine) -> Markup:
    about = f"Mean {cell_text(pair.mean)}; below zero {percent(pair.conflict)} of the time."
    lines = lines_of(pair.seeds, "accent", "cosine")
    name = f"Cosine between the gradients of {pair.name}"
    chart = LineChart(name, about, lines, limits=(-1.0, 1.0), emphasise=0.0, shade_below=0.0)
    data = sampled({"Cosine": mean_over_seeds(pair.seeds)}, name)
    caption = ["Cosine between ", bdi(pair.first.name), " and ", bdi(pair.second.name)]
    return figure("conflict-figure", caption, responsive(lambda size: line_chart(chart, size)), data, note=about)


def _many(run: Run, pairs: Sequence[Cosine]) -> list[Markup | None]:
    edges = span(pairs)
    involved = [task for task in run.tasks if any(task in (pair.first, pair.second) for pair in pairs)]
    matrix = _matrix(involved, pairs, edges) if len(involved) <= MATRIX else None
    return [_legend(), matrix, _strips(pairs, edges)]


def _matrix(tasks: Sequence[TaskInfo], pairs: Sequence[Cosine], edges: tuple[float, float]) -> Markup:
    by: By = {(pair.first.index, pair.second.index): pair for pair in pairs}
    marks = np.linspace(*edges, min(WINDOWS, _moments(pairs)) + 1)
    heads = [el("th", _short(task), scope="col", title=task.name) for task in tasks]
    rows = [(el("th", _short(a), scope="row", title=a.name), [_cell(a, b, by, marks) for b in tasks]) for a in tasks]
    caption = "Mean cosine between the gradients of each pair of tasks"
    box = matrix(caption, "Gradient cosine of each pair", heads, rows)
    return figure("conflict-figure", "Mean over training, per pair of tasks", [_slider(marks), box])


def _moments(pairs: Sequence[Cosine]) -> int:
    # More stretches than measurements would leave holes between them.
    return max(len(np.unique(s.steps)) for pair in pairs for s in pair.seeds.values())


def _short(task: TaskInfo) -> Markup:
    return bdi(shorten(task.name, 150))


def _slider(marks: np.ndarray) -> Markup:
    names = ["whole run", *(f"steps {a:,.0f} to {b:,.0f}" for a, b in pairwise(marks))]
    slider = el(
        "input", type="range", min=0, max=len(marks) - 1, value=0, id="conflict-window", data_names="|".join(names)
    )
    # Shown by the script: without it the slider could not do anything.
    label = el("label", "Part of training", for_="conflict-window")
    return el("div", label, slider, el("output", names[0], for_="conflict-window"), class_="slider", hidden=True)


def _cell(a: TaskInfo, b: TaskInfo, by: By, marks: np.ndarray) -> Markup:
    if a.index == b.index:
        return el("td", el("span", "same task", class_="unseen"), class_="self")
    pair = by.get((min(a.index, b.index), max(a.index, b.index)))
    if pair is None:
        return el("td", "–", class_="q-none")
    values = " ".join(f"{v:.2f}" for v in (pair.mean, *pair.windowed(marks)))
    return el("td", cell_text(pair.mean), class_=level(pair.mean), data_values=values)


def _strips(pairs: Sequence[Cosine], edges: tuple[float, float]) -> Markup:
    marks = np.linspace(*edges, min(COLUMNS, _moments(pairs)) + 1)
    rows = [_strip(pair, marks) for pair in pairs[:PAIRS]]
    axis = el("div", el("span", f"step {edges[0]:,.0f}"), el("span", f"{edges[1]:,.0f}"), class_="strip-axis")
    listed = [[_name(pair), cell_text(pair.mean), percent(pair.conflict)] for pair in pairs[:LISTED]]
    data = table("Pairs, most conflicting first", ["Pair", "Mean cosine", "Below zero"], listed)
    title = "Over training, most conflicting pair first"
    title += f" ({PAIRS} of {len(pairs)} pairs)" if len(pairs) > PAIRS else ""
    return figure("conflict-strips", title, el("div", rows, axis, class_="strips"), data)


def _strip(pair: Cosine, marks: np.ndarray) -> Markup:
    values = pair.windowed(marks)
    spans = [f"steps {a:,.0f} to {b:,.0f}" for a, b in pairwise(marks)]
    tips = [f"{pair.name}\n{part}\ncosine {cell_text(v)}" for part, v in zip(spans, values, strict=True)]
    about = f"{pair.name}: mean cosine {cell_text(pair.mean)}, below zero {percent(pair.conflict)} of the time"
    name = el("span", _name(pair), class_="pair-name", title=pair.name)
    picture = strip(list(values), tips, height=22, name=about)
    return el("div", name, picture, el("span", cell_text(pair.mean), class_="amount"), class_="strip-row")


def _layers(run: Run) -> Markup | None:
    found = layers(run)
    if not found:
        return None
    rows = [[el("code", bdi(layer)), *_layer(pairs)] for layer, pairs in found.items()]
    head = ["Layer", "Mean cosine", "Below zero", "Most conflicting pair", "Its mean cosine"]
    title = "By shared layer, all pairs, over training"
    return figure("conflict-layers", title, table(title, head, rows))


def _layer(pairs: Sequence[Cosine]) -> list[object]:
    mean, below = (float(np.mean([getattr(pair, what) for pair in pairs])) for what in ("mean", "conflict"))
    worst = pairs[0]
    return [_shaded(mean), percent(below), _name(worst), _shaded(worst.mean)]


def _shaded(value: float) -> Markup:
    return el("span", cell_text(value), class_=f"shaded {level(value)}")


def _legend() -> Markup:
    cells = [el("span", class_=f"key {level(v / 10)}") for v in range(-10, 11, 2)]
    return el(
        "p", "conflict −1 ", el("span", cells, class_="keys", aria_hidden="true"), " +1 agreement", class_="legend"
    )


def _name(pair: Cosine) -> list[object]:
    return [bdi(pair.first.name), " × ", bdi(pair.second.name)]
