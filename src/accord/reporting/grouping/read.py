"""``group.json`` as the page and the terminal read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accord.reporting.comparison.read import estimate
from accord.reporting.numbers import finite
from accord.reporting.run import mapping, sequence
from accord.reporting.verdict import Estimate

NAMES: Mapping[str, str] = {
    "together": "one model of all tasks",
    "random": "random groups",
    "singles": "a model for each task",
    "merged": "groups split from a joint model",
}


@dataclass(frozen=True, eq=False)
class TaskGroup:
    """One proposed group; ``number`` counts from 1."""

    number: int
    tasks: Sequence[str]
    serves: Sequence[str]
    cost: float
    predicted: float
    spec: str


@dataclass(frozen=True, eq=False)
class Gap:
    """How far the proposed groups are ahead of one other way, in points of delta-m."""

    name: str
    size: Estimate
    p: float
    outcome: str


def groups_of(found: Mapping[str, Any]) -> list[TaskGroup]:
    """Return the proposed groups in order."""
    return [
        TaskGroup(
            number,
            [str(name) for name in sequence(facts.get("tasks"))],
            [str(name) for name in sequence(facts.get("serves"))],
            finite(facts.get("cost")),
            finite(facts.get("predicted")),
            str(facts.get("spec") or ""),
        )
        for number, facts in enumerate(map(mapping, sequence(found.get("groups"))), 1)
    ]


def gaps_of(found: Mapping[str, Any]) -> list[Gap]:
    """Return the measured gaps, empty where nothing was measured."""
    facts = map(mapping, sequence(mapping(found, "measured").get("against")))
    made = []
    for one in facts:
        size = estimate(one)
        if size:
            name = NAMES.get(str(one.get("other")), str(one.get("other")))
            made.append(Gap(name, size, finite(one.get("p_holm")), str(one.get("outcome") or "")))
    return made


def names_of(found: Mapping[str, Any]) -> list[str]:
    """Return the tasks' names in order."""
    return [str(mapping(task).get("name")) for task in sequence(found.get("tasks"))]


def helps_of(found: Mapping[str, Any]) -> np.ndarray:
    """Return who helps whom ``[T, T]``, neutral at 0; NaN where the file has no number."""
    rows = sequence(mapping(found, "affinity").get("helps"))
    return np.array([[finite(value) for value in sequence(row)] for row in rows], np.float64)


def order_of(found: Mapping[str, Any]) -> list[int]:
    """Return the tasks group by group, each where it is served."""
    names = names_of(found)
    served = [names.index(name) for group in groups_of(found) for name in group.serves if name in names]
    return [*served, *(t for t in range(len(names)) if t not in served)]
