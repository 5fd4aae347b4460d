"""How much each task's loss or gradient counted, over time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from accord.reporting.history import Series, mean_over_seeds
from accord.reporting.html import el
from accord.reporting.numbers import general
from accord.reporting.parts import Section, figure, responsive, task_name, tint
from accord.reporting.run import Run, TaskInfo
from accord.reporting.sections.curves import lines_of, sampled
from accord.reporting.svg.line_chart import Line, LineChart, line_chart

TOGETHER = 12  # more lines than this in one picture cannot be told apart


def weights(run: Run) -> Section | None:
    """Return the weights of the joint model, or ``None`` when none were recorded."""
    found = {task.index: run.history.find("joint", "train", "weight", task.name) for task in run.tasks}
    tasks = [task for task in run.tasks if any(np.isfinite(s.values).any() for s in found[task.index].values())]
    if not tasks:
        return None
    shown = sorted(tasks, key=lambda task: -_travel(found[task.index]))[:TOGETHER]
    shown.sort(key=lambda task: task.index)
    method = run.option("balancing", "method")
    lead = ["Weights that ", el("code", method) if isinstance(method, str) else "the balancer", " gave to each task; "]
    lead.append(f"1/{len(run.tasks)} each is plain averaging.")
    lead += [f" Of {len(tasks)} tasks, the {TOGETHER} whose weight moved most."] if len(tasks) > TOGETHER else []
    chart = _chart(shown, found, len(run.tasks))
    means = {task_name(task): mean_over_seeds(found[task.index]) for task in shown}
    body = figure(
        "weights-figure", "Weight per task", responsive(lambda size: line_chart(chart, size)),
        sampled(means, "Weight per task"),
    )  # fmt: skip
    return Section("weights", "Weights over time", body, lead)


def _chart(tasks: list[TaskInfo], found: Mapping[int, Mapping[int, Series]], count: int) -> LineChart:
    lines: list[Line] = []
    for task in tasks:
        lines += lines_of(found[task.index], tint(task.index), task.name)
    ends = [f"{task.name} {_last(found[task.index])}" for task in tasks]
    return LineChart("Weight per task over training", f"At the end: {', '.join(ends)}.", lines, emphasise=1 / count)


def _last(seeds: Mapping[int, Series]) -> str:
    mean = mean_over_seeds(seeds)
    return general(float(mean.values[-1])) if len(mean.values) else "unknown"


def _travel(seeds: Mapping[int, Series]) -> float:
    values = np.concatenate([s.values[np.isfinite(s.values)] for s in seeds.values()] or [np.empty(0)])
    return float(values.std()) if values.size else 0.0
