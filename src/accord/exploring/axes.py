"""What a front can be looked at by: every task's loss, and every metric of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median
from typing import Any, Literal

from accord.reporting.numbers import decimals, finite
from accord.reporting.run import MetricInfo, TaskInfo, mapping

# Intervals and spreads are shown with about two digits; more decimals than these say nothing to anyone.
MOST_PLACES = 5


@dataclass(frozen=True)
class Axis:
    """One column of numbers; shown numbers are ``value * scale``.

    Attributes:
        key: ``loss`` or the metric's key.
        task: place of the task in the front.
        label: for people.
        kind: ``loss`` or ``metric``.
        higher: whether more is better.
        primary: whether it is the metric that its task is judged by.
        unit: for people, often empty.
        scale: from stored to shown numbers.
        places: decimals of shown numbers.
    """

    key: str
    task: int
    label: str
    kind: Literal["loss", "metric"]
    higher: bool = False
    primary: bool = False
    unit: str = ""
    scale: float = 1.0
    places: int = 3


@dataclass(frozen=True)
class Column:
    """The numbers of one model, one per axis, as the page shows them; NaN where there is none."""

    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


def make_axes(tasks: Sequence[TaskInfo], points: Sequence[Mapping[str, Any]]) -> list[Axis]:
    """Return the axes that at least one of ``points`` has a number for, with as many decimals as these deserve."""
    axes = [axis for task in tasks for axis in _of_task(task, points)]
    columns = [read_column(axes, point) for point in points]
    known = [i for i in range(len(axes)) if any(math.isfinite(column.value[i]) for column in columns)]
    return [replace(axes[i], places=_places(i, columns)) for i in known]


def read_column(axes: Sequence[Axis], figures: Mapping[str, Any]) -> Column:
    """Return the numbers of a point, a baseline or a measurement.

    Args:
        axes: which numbers, in which order.
        figures: what :func:`by_place` returns.
    """
    found = [_read(axis, figures) for axis in axes]
    value, low, high = zip(*found, strict=True) if found else ((), (), ())
    return Column(value, low, high)


def by_place(tasks: Sequence[TaskInfo], figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``figures`` with the tasks' places instead of their names."""
    losses, metrics = mapping(figures, "losses"), mapping(figures, "metrics")
    return {
        "losses": {task.index: losses.get(task.name) for task in tasks},
        "metrics": {task.index: mapping(metrics, task.name) for task in tasks},
    }


def _of_task(task: TaskInfo, points: Sequence[Mapping[str, Any]]) -> Iterator[Axis]:
    seen = dict.fromkeys(key for point in points for key in point["metrics"][task.index])
    infos = [task.metrics.get(key) or MetricInfo(key, key) for key in {**task.metrics, **seen}]
    for info in sorted(infos, key=lambda info: info.key != task.primary):
        main = info.key == task.primary
        yield Axis(info.key, task.index, info.label, "metric", info.higher_is_better, main, info.unit, info.scale)
    yield Axis("loss", task.index, "loss", "loss")


def _read(axis: Axis, figures: Mapping[str, Any]) -> tuple[float, float, float]:
    entry = figures["losses" if axis.kind == "loss" else "metrics"].get(axis.task)
    entry = entry.get(axis.key) if axis.kind == "metric" and isinstance(entry, Mapping) else entry
    parts = (
        [finite(entry.get(name)) * axis.scale for name in ("value", "low", "high")]
        if isinstance(entry, Mapping)
        else [finite(entry) * axis.scale, math.nan, math.nan]
    )
    # A negative scale turns the ends of an interval round.
    low, high = sorted(parts[1:]) if not math.isnan(parts[1] + parts[2]) else (math.nan, math.nan)
    return parts[0], low, high


def _places(index: int, columns: Sequence[Column]) -> int:
    halves = [(c.high[index] - c.low[index]) / 2 for c in columns if c.high[index] > c.low[index]]
    values = [c.value[index] for c in columns if math.isfinite(c.value[index])]
    spread = max(values) - min(values)
    # One decimal more than the interval's first digit; without an interval, enough to tell the points apart.
    return min(decimals(median(halves) if halves else spread / 20 or abs(values[0]) / 100), MOST_PLACES)
