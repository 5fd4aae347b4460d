"""Cosines between the gradients of pairs of tasks, over the training of the joint model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accord.reporting.history import Series
from accord.reporting.run import Run, TaskInfo
from accord.reporting.svg.downsample import windows

LAYER = "cosine:"  # what the name of a cosine in one layer begins with


@dataclass(frozen=True, eq=False)
class Cosine:
    """One pair, ``first`` before ``second`` in the order of the run, with at least one finite value."""

    first: TaskInfo
    second: TaskInfo
    seeds: Mapping[int, Series]

    @property
    def name(self) -> str:
        """Both names."""
        return f"{self.first.name} and {self.second.name}"

    @property
    def mean(self) -> float:
        """Mean over steps and seeds."""
        return float(self._finite().mean())

    @property
    def conflict(self) -> float:
        """Share of measurements below zero, 0 to 1."""
        return float((self._finite() < 0).mean())

    def windowed(self, edges: np.ndarray) -> np.ndarray:
        """Return means between ``edges [W + 1]`` as ``[W]``, NaN where nothing was measured."""
        steps = np.concatenate([s.steps for s in self.seeds.values()])
        return windows(steps, np.concatenate([s.values for s in self.seeds.values()]), edges)

    def _finite(self) -> np.ndarray:
        values = np.concatenate([s.values for s in self.seeds.values()])
        return values[np.isfinite(values)]


def cosines(run: Run, name: str = "cosine") -> list[Cosine]:
    """Return all pairs of which ``name`` was measured, most conflicting first."""
    tasks = {task.name: task for task in run.tasks}
    found: dict[tuple[int, int], Cosine] = {}
    for (a, b), seeds in run.history.pairs(name=name).items():
        if a in tasks and b in tasks and a != b and any(np.isfinite(s.values).any() for s in seeds.values()):
            first, second = sorted((tasks[a], tasks[b]), key=lambda task: task.index)
            found.setdefault((first.index, second.index), Cosine(first, second, seeds))
    return sorted(found.values(), key=lambda pair: pair.mean)


def layers(run: Run) -> dict[str, list[Cosine]]:
    """Return the pairs by shared layer, in the order of the layers; empty where layers were not told apart."""
    names = dict.fromkeys(key[2] for key in run.history.series if key[2].startswith(LAYER))
    found = {name.removeprefix(LAYER): cosines(run, name) for name in names}
    return {layer: pairs for layer, pairs in found.items() if pairs}


def span(pairs: Sequence[Cosine]) -> tuple[float, float]:
    """Return the first and last step of any pair, never equal."""
    steps = np.concatenate([s.steps for pair in pairs for s in pair.seeds.values()])
    low, high = float(steps.min()), float(steps.max())
    return (low, high) if high > low else (low, low + 1)
