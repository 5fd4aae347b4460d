"""Learning curves: training loss and the primary metric on the validation rows, joint against single."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from accord.reporting.history import Series, mean_over_seeds
from accord.reporting.html import Markup, el
from accord.reporting.numbers import general
from accord.reporting.parts import Section, figure, table, task_name, tint
from accord.reporting.run import Run, TaskInfo
from accord.reporting.svg.downsample import windows
from accord.reporting.svg.line_chart import Line, LineChart, line_chart

POINTS = 40_000  # points of all curves together, so that many tasks and seeds still make a small file
ROWS = 12
SMOOTH = 160  # from this many points on, the strong line is a mean over stretches of training
Curves = Mapping[str, Mapping[int, Series]]


def curves(run: Run) -> Section | None:
    """Return two panels per task, or ``None`` when no curve was recorded."""
    found = {task.name: (_curves(run, task, "train"), _curves(run, task, "validation")) for task in run.tasks}
    lines = sum(len(seeds) + 1 for pair in found.values() for curves in pair for seeds in curves.values())
    if not lines:
        return None
    buckets = min(max(POINTS // (2 * lines), 12), 110)
    blocks = [_task(task, *found[task.name], buckets) for task in run.tasks if any(found[task.name])]
    lead = "Solid: joint. Dashed: single-task model. Faint lines are seeds, strong ones their mean over seeds and time."
    return Section("curves", "Learning curves", el("div", blocks), lead)


def lines_of(seeds: Mapping[int, Series], look: str, label: str) -> list[Line]:
    """Return the mean over seeds (smoothed where it is long) as a labelled line, and each seed as a faint one."""
    mean = mean_over_seeds(seeds)
    behind = len(mean.steps) and (len(seeds) > 1 or len(mean.steps) > SMOOTH)
    faint = [Line(s.steps, s.values, f"{look} faint" if behind else look, "") for s in seeds.values()]
    if behind:
        return [*faint, Line(*smoothed(mean), look, label)]
    # Seeds that share no step have no mean; then each stands for itself and the first carries the label.
    return [Line(line.xs, line.ys, line.look, label if i == 0 else "") for i, line in enumerate(faint)]


def smoothed(series: Series) -> Series:
    """Return means over up to ``SMOOTH / 2`` equal stretches of training; short series come back whole."""
    if len(series.steps) <= SMOOTH:
        return series
    edges = np.linspace(series.steps[0], series.steps[-1], SMOOTH // 2 + 1)
    steps, values = (windows(series.steps, y, edges) for y in (series.steps.astype(np.float64), series.values))
    known = np.isfinite(values)
    return Series(steps[known], values[known])


def sampled(columns: Mapping[str, Series] | Mapping[Markup, Series], caption: str, first: str = "Step") -> Markup:
    """Return a table of at most ``ROWS`` steps, evenly chosen, one column per series."""
    every = np.unique(np.concatenate([s.steps for s in columns.values()] or [np.empty(0, np.int64)]))
    chosen = every[np.unique(np.linspace(0, max(len(every) - 1, 0), ROWS).round().astype(int))] if len(every) else every
    rows = [[f"{step:,}", *(_at(series, step) for series in columns.values())] for step in chosen]
    return table(caption, [first, *columns], rows)


def _task(task: TaskInfo, train: Curves, validation: Curves, buckets: int) -> Markup:
    label, unit = task.metric.label, task.metric.unit
    heading = f"Validation {label}" + (f", {unit}" if unit else "")
    panels = [_panel(task, train, "train", "Training loss", buckets)]
    panels.append(_panel(task, validation, "validation", heading, buckets))
    return el("div", el("h3", task_name(task)), el("div", panels, class_="panels"), class_="block")


def _panel(task: TaskInfo, curves: Curves, phase: str, title: str, buckets: int) -> Markup | None:
    if not curves:
        return None
    looks = {"joint": tint(task.index), "single": "base dash"}
    lines = [line for run in reversed(list(curves)) for line in lines_of(curves[run], looks[run], run)]
    means = {run: mean_over_seeds(seeds) for run, seeds in curves.items()}
    ends = ", ".join(f"{run} ends at {general(float(m.values[-1]))}" for run, m in means.items() if len(m.values))
    chart = LineChart(f"{title} of {task.name}", ends + "." if ends else "", lines, buckets=buckets)
    key = f"curve-{task.index}-{phase}"
    return figure(key, title, line_chart(chart), sampled(means, f"{title}, {task.name}"))


def _curves(run: Run, task: TaskInfo, phase: str) -> Curves:
    name, scale = ("loss", 1.0) if phase == "train" else (task.primary, task.metric.scale)
    found = {"joint": run.history.find("joint", phase, name, task.name)}
    found["single"] = run.history.find(f"single:{task.name}", phase, name, task.name)
    scaled = {
        k: {s: Series(v.steps, v.values * scale) for s, v in seeds.items()} for k, seeds in found.items() if seeds
    }
    return {k: seeds for k, seeds in scaled.items() if any(np.isfinite(s.values).any() for s in seeds.values())}


def _at(series: Series, step: int) -> str:
    index = int(np.searchsorted(series.steps, step))
    there = index < len(series.steps) and series.steps[index] == step
    return general(float(series.values[index]), 4) if there else "–"
