"""How much each task's loss or gradient counted, over time: its weight, its size, and how far it was followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from accord.reporting.history import Series, mean_over_seeds
from accord.reporting.html import Markup, el
from accord.reporting.numbers import general
from accord.reporting.parts import Section, figure, responsive, task_name, tint
from accord.reporting.run import Run, TaskInfo
from accord.reporting.sections.curves import lines_of, sampled
from accord.reporting.svg.line_chart import Line, LineChart, line_chart

TOGETHER = 12  # more lines than this in one picture cannot be told apart


@dataclass(frozen=True)
class Quantity:
    """What is drawn: its name in the history, its title, a word about it, and whether equal tasks have 1/T each."""

    name: str
    title: str
    note: str | None = None
    shares: bool = True


QUANTITIES = (
    Quantity("weight", "Weight per task"),
    Quantity(
        "dominance",
        "Share of the gradients' length per task",
        "Lengths of the tasks' gradients in the last shared layer, as shares of their sum: a task near 1 drowns the"
        " others under plain averaging.",
    ),
    Quantity(
        "effective_rate",
        "Effective learning rate per task",
        "How far the last shared layer went along each task's own gradient, for every unit that it went at all, times"
        " the learning rate: its size and its weight together.",
        shares=False,
    ),
)
Found = Mapping[int, Mapping[int, Series]]


def weights(run: Run) -> Section | None:
    """Return what weighed how much in the joint model, or ``None`` when no weights were recorded."""
    figures = [_figure(run, quantity) for quantity in QUANTITIES]
    if figures[0] is None:
        return None
    method = run.option("balancing", "method")
    lead = ["Weights that ", el("code", method) if isinstance(method, str) else "the balancer", " gave to each task; "]
    lead.append(f"1/{len(run.tasks)} each is plain averaging.")
    known = len(_recorded(run, _find(run, QUANTITIES[0])))
    lead += [f" Of {known} tasks, the {TOGETHER} whose line moved most."] if known > TOGETHER else []
    return Section("weights", "Weights over time", el("div", figures), lead)


def _figure(run: Run, quantity: Quantity) -> Markup | None:
    found = _find(run, quantity)
    shown = sorted(_recorded(run, found), key=lambda task: -_travel(found[task.index]))[:TOGETHER]
    if not shown:
        return None
    shown.sort(key=lambda task: task.index)
    chart = _chart(quantity, shown, found, len(run.tasks))
    means = {task_name(task): mean_over_seeds(found[task.index]) for task in shown}
    return figure(
        f"{quantity.name.replace('_', '-')}s-figure", quantity.title,
        responsive(lambda size: line_chart(chart, size)), sampled(means, quantity.title), note=quantity.note,
    )  # fmt: skip


def _find(run: Run, quantity: Quantity) -> Found:
    return {task.index: run.history.find("joint", "train", quantity.name, task.name) for task in run.tasks}


def _recorded(run: Run, found: Found) -> list[TaskInfo]:
    return [task for task in run.tasks if any(np.isfinite(s.values).any() for s in found[task.index].values())]


def _chart(quantity: Quantity, tasks: list[TaskInfo], found: Found, count: int) -> LineChart:
    lines: list[Line] = []
    for task in tasks:
        lines += lines_of(found[task.index], tint(task.index), task.name)
    ends = [f"{task.name} {_last(found[task.index])}" for task in tasks]
    equal = 1 / count if quantity.shares else None
    return LineChart(f"{quantity.title} over training", f"At the end: {', '.join(ends)}.", lines, emphasise=equal)


def _last(seeds: Mapping[int, Series]) -> str:
    mean = mean_over_seeds(seeds)
    return general(float(mean.values[-1])) if len(mean.values) else "unknown"


def _travel(seeds: Mapping[int, Series]) -> float:
    values = np.concatenate([s.values[np.isfinite(s.values)] for s in seeds.values()] or [np.empty(0)])
    return float(values.std()) if values.size else 0.0
