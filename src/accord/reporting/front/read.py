"""``front.json`` as the page and the terminal read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.merging.fronts import of_merges
from accord.reporting.numbers import decimals, finite, fixed
from accord.reporting.run import TaskInfo, mapping, read_tasks, sequence


@dataclass(frozen=True)
class Figure:
    """A number and its interval; NaN where there is none."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Shown:
    """A point or a baseline; figures are of test rows where there are any, else of the live rows.

    Attributes:
        name: of a baseline; empty for a point.
        preference: of a point; empty for a baseline.
        dominated: whether another point is better in everything on the live rows.
        facts: losses and metrics of the rows that are shown.
    """

    name: str
    preference: Sequence[float]
    dominated: bool
    facts: Mapping[str, Any]

    @property
    def single(self) -> str:
        """The task of a single-task baseline; empty for all others."""
        return self.name.removeprefix("single:") if self.name.startswith("single:") else ""

    def loss(self, task: TaskInfo) -> float:
        """Return the mean loss of a task; NaN where this model has none."""
        return finite(mapping(self.facts, "losses").get(task.name))

    def metric(self, task: TaskInfo, key: str | None = None) -> Figure:
        """Return a metric of a task, its primary one by default; NaN where this model has none."""
        return value_of(mapping(self.facts, "metrics", task.name, key or task.primary))


@dataclass(frozen=True, eq=False)
class FrontShown:
    """What is shown of a front.

    Attributes:
        judged: figures are of rows, with intervals; else of an evaluation, which has none.
    """

    tasks: Sequence[TaskInfo]
    points: Sequence[Shown]
    baselines: Sequence[Shown]
    knee: int | None
    judged: bool
    facts: Mapping[str, Any]


def read_front(found: Mapping[str, Any]) -> FrontShown:
    """Return the points and baselines of ``front.json``."""
    tasks = read_tasks(found, {}, Path("front.json"))
    entries = [mapping(entry) for entry in sequence(found.get("points"))]
    points = [_shown(entry) for entry in entries]
    baselines = [_shown(entry) for entry in map(mapping, sequence(found.get("baselines")))]
    knee = found.get("knee")
    return FrontShown(tasks, points, baselines, knee if isinstance(knee, int) else None, not of_merges(found), found)


def _shown(entry: Mapping[str, Any]) -> Shown:
    preference = [finite(share) for share in sequence(entry.get("preference"))]
    facts = mapping(entry, "test") or entry
    return Shown(str(entry.get("name") or ""), preference, bool(entry.get("dominated")), facts)


def value_of(found: Mapping[str, Any]) -> Figure:
    """Return ``{value, low, high}`` as a figure."""
    return Figure(*(finite(found.get(part)) for part in ("value", "low", "high")))


def value_text(figure: Figure) -> str:
    """Return a metric with its interval, as many digits as the interval supports; a dash where there is none."""
    if figure.value != figure.value:
        return "–"
    places = decimals((figure.high - figure.low) / 2)
    if figure.low != figure.low:
        return fixed(figure.value, places)
    return f"{fixed(figure.value, places)} [{fixed(figure.low, places)}, {fixed(figure.high, places)}]"
