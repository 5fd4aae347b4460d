"""Accord: one model, many objectives.

Rooms are imported on first use, so ``import accord`` costs no more than what is asked of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from accord import (
        aggregation,
        comparing,
        data,
        engines,
        grouping,
        linalg,
        merging,
        reporting,
        sampling,
        sharing,
        steering,
        steps,
        tasks,
        testing,
        training,
        weighting,
    )
    from accord.api import MethodComparison, Model, TaskGroups, compare, fit, front, group, load, merge
    from accord.engines import backward, gramian, jacobian
    from accord.tasks import Task

_ROOMS = (
    "aggregation",
    "comparing",
    "data",
    "engines",
    "grouping",
    "linalg",
    "merging",
    "reporting",
    "sampling",
    "sharing",
    "steering",
    "steps",
    "tasks",
    "testing",
    "training",
    "weighting",
)
_NAMES = {
    "MethodComparison": "api",
    "Model": "api",
    "Task": "tasks",
    "TaskGroups": "api",
    "backward": "engines",
    "compare": "api",
    "fit": "api",
    "front": "api",
    "gramian": "engines",
    "group": "api",
    "jacobian": "engines",
    "load": "api",
    "merge": "api",
}

__all__ = [
    "MethodComparison",
    "Model",
    "Task",
    "TaskGroups",
    "aggregation",
    "backward",
    "compare",
    "comparing",
    "data",
    "engines",
    "fit",
    "front",
    "gramian",
    "group",
    "grouping",
    "jacobian",
    "linalg",
    "load",
    "merge",
    "merging",
    "reporting",
    "sampling",
    "sharing",
    "steering",
    "steps",
    "tasks",
    "testing",
    "training",
    "weighting",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"accord.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(f"accord.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'accord' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
