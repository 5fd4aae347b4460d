"""Sets of tasks as names of runs, and the data of some tasks only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from accord.tasks import Objectives
from accord.training.prepare import Prepared


def key_of(tasks: Sequence[int], kind: str = "tasks") -> str:
    """Return the key of a run that trains ``tasks``: a name safe for any file system, from which they can be read."""
    return f"{kind}-{sum(1 << task for task in tasks):x}"


def tasks_of(key: str) -> tuple[int, ...]:
    """Return the tasks of :func:`key_of`, ascending."""
    mask = int(key.rpartition("-")[2], 16)
    return tuple(task for task in range(mask.bit_length()) if mask >> task & 1)


def some(prepared: Prepared, tasks: Sequence[int]) -> Prepared:
    """Return the same data with ``tasks`` only; none of them may be conditional on another."""
    encoders = [prepared.objectives.encoders[task] for task in tasks]
    return replace(prepared, objectives=Objectives(encoders), targets=tuple(prepared.targets[task] for task in tasks))
