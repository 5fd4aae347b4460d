"""Everything measured while training, in one long table that survives a crash."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from accord.data import read_parquet, write_parquet
from accord.training.files import writing
from accord.training.trackers import Tracker

COLUMNS = ("run", "seed", "step", "rows", "seconds", "phase", "name", "task", "other", "value")
_TYPES: dict[str, Any] = {
    "run": str,
    "seed": np.int64,
    "step": np.int64,
    "rows": np.int64,
    "seconds": np.float64,
    "phase": str,
    "name": str,
    "task": str,
    "other": str,
    "value": np.float64,
}


@dataclass(slots=True)
class Clock:
    """Where a model stands: optimiser steps, rows seen, seconds of training."""

    step: int = 0
    rows: int = 0
    seconds: float = 0.0


@dataclass
class History:
    """Rows of ``(run, seed, step, rows, seconds, phase, name, task, other, value)``.

    ``other`` is the second task of a pair (``cosine``) and empty otherwise. Every row is also sent to ``mirrors``.
    """

    records: list[tuple[Any, ...]] = field(default_factory=list)
    mirrors: list[Tracker] = field(default_factory=list)

    def add(
        self, model: tuple[str, int], clock: Clock, phase: str, name: str, value: float, task: str = "", other: str = ""
    ) -> None:
        """Append one measurement of the model ``(run, seed)``."""
        self.records.append((*model, clock.step, clock.rows, clock.seconds, phase, name, task, other, float(value)))
        for mirror in self.mirrors:
            path = "/".join(str(part) for part in (*model, phase, name, task, other) if part != "")
            mirror.log(path, float(value), clock.step)

    def close(self) -> None:
        """Close the mirrors."""
        for mirror in self.mirrors:
            mirror.close()

    def forget_after(self, model: tuple[str, int], step: int, *, midway: bool) -> None:
        """Drop what ``model`` recorded after its checkpoint at ``step``: it will be done again.

        ``midway`` in an epoch, that includes a validation at ``step`` itself: one that is interrupted within its first
        epoch is judged as it is then.
        """
        again = {"validation"} if midway else set()
        self.records = [
            r for r in self.records if (r[0], r[1]) != model or r[2] < step or (r[2] == step and r[5] not in again)
        ]

    def save(self, path: Path) -> None:
        """Write the whole table as Parquet, atomically."""
        columns = list(zip(*self.records, strict=True)) or [()] * len(COLUMNS)
        table = {name: np.asarray(values, dtype=_TYPES[name]) for name, values in zip(COLUMNS, columns, strict=True)}
        with writing(path):
            write_parquet(path, table)

    @classmethod
    def load(cls, path: Path) -> History:
        """Read what :meth:`save` wrote; an absent file is an empty history."""
        if not path.exists():
            return cls()
        table = read_parquet(path)
        return cls(list(zip(*(table[name].tolist() for name in COLUMNS), strict=True)))
