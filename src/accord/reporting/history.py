"""The long table of a run, cut once into series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from accord.reporting.svg.scale import drawable

KEYS = ("run", "phase", "name", "task", "other")


class Series(NamedTuple):
    """One quantity of one seed: ``steps [N]`` ascending and ``values [N]`` (NaN where not finite or diverged)."""

    steps: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class History:
    """Series by ``(run, phase, name, task, other)`` and seed."""

    series: Mapping[tuple[str, ...], Mapping[int, Series]] = field(default_factory=dict)

    @classmethod
    def from_columns(cls, columns: Mapping[str, np.ndarray]) -> History:
        """Cut the columns of ``history.parquet`` into series. Cost O(N log N) in the rows.

        Raises:
            KeyError: a column is missing.
        """
        seeds, steps = (np.asarray(columns[c]).astype(np.int64) for c in ("seed", "step"))
        values = np.asarray(columns["value"]).astype(np.float64)
        values = np.where(drawable(values), values, np.nan)
        if not values.size:
            return cls()
        coded = [_codes(columns[key]) for key in KEYS]
        order = np.lexsort((steps, seeds, *(codes for codes, _ in reversed(coded))))
        table = np.stack([*(codes for codes, _ in coded), seeds])[:, order]
        bounds = np.r_[0, np.flatnonzero((table[:, 1:] != table[:, :-1]).any(axis=0)) + 1, values.size]
        found: dict[tuple[str, ...], dict[int, Series]] = {}
        for start, end in pairwise(bounds):
            key = tuple(names[table[k, start]] for k, (_, names) in enumerate(coded))
            rows = order[start:end]
            found.setdefault(key, {})[int(table[-1, start])] = Series(steps[rows], values[rows])
        return cls(found)

    def find(self, run: str, phase: str, name: str, task: str = "", other: str = "") -> Mapping[int, Series]:
        """Return one quantity by seed; empty when it was never recorded."""
        return self.series.get((run, phase, name, task, other), {})

    def pairs(self, run: str = "joint", name: str = "cosine") -> dict[tuple[str, str], Mapping[int, Series]]:
        """Return what was recorded of pairs of tasks, ``(task, other) -> seeds``."""
        keys = [key for key in self.series if key[0] == run and key[2] == name and key[4]]
        return {(key[3], key[4]): self.series[key] for key in keys}


def mean_over_seeds(seeds: Mapping[int, Series]) -> Series:
    """Return the mean at the steps that every seed reached with a finite value; empty when there is no such step."""
    if not seeds:
        return Series(np.empty(0, np.int64), np.empty(0))
    steps = np.concatenate([s.steps[np.isfinite(s.values)] for s in seeds.values()])
    values = np.concatenate([s.values[np.isfinite(s.values)] for s in seeds.values()])
    common, inverse, counts = np.unique(steps, return_inverse=True, return_counts=True)
    full = counts >= len(seeds)
    means = np.bincount(inverse, weights=values / np.maximum(counts[inverse], 1), minlength=len(common))
    return Series(common[full], means[full])


def _codes(column: np.ndarray) -> tuple[np.ndarray, list[str]]:
    # Sorting millions of Python strings is slow; a dictionary codes them in one pass.
    names = ["" if name is None else str(name) for name in np.asarray(column).tolist()]
    index = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return np.fromiter((index[name] for name in names), np.int64, len(names)), list(index)
