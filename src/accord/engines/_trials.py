"""Try engines on the steps of a run, and stay with the fastest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from time import perf_counter
from typing import TypeVar

import torch
from torch import Tensor

from accord.engines._engine import Derivatives, Engine, Problem
from accord.errors import ConfigurationError

_STEPS = 2
# Far above rounding, far below what a hook that was passed over does.
_ALIKE = 1e-2

T = TypeVar("T")


class Trials:
    """What is known of the engines for one kind of step.

    Attributes:
        seconds: by engine, the time of each of its steps.
        out: engines that refused, or found something else than the last one of the list, which is the reference.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = {}
        self.out: set[str] = set()

    def differentiate(self, problem: Problem, engines: Sequence[Engine]) -> tuple[Derivatives, Engine]:
        """Return the derivatives by the engine whose turn it is, or by the fastest, and which it was."""
        left = [engine for engine in engines if engine.name not in self.out]
        untried = [engine for engine in left if len(self.seconds.get(engine.name, ())) < _STEPS]
        if not untried:
            best = min(left, key=lambda engine: min(self.seconds[engine.name]))
            return best.differentiate(problem), best
        engine, reference = untried[0], engines[-1]
        if engine is not reference and engine.name not in self.seconds:
            wanted = reference.differentiate(replace(problem, keep=True))
            if not _agrees(engine, replace(problem, keep=True), wanted):
                self.out.add(engine.name)
                return wanted, reference
        return Timed(engine, problem, self.seconds.setdefault(engine.name, [])), engine


def _agrees(engine: Engine, problem: Problem, wanted: Derivatives) -> bool:
    """Whether ``engine`` knows the model and finds the gradients that the reference finds."""
    try:
        found = engine.differentiate(problem)
    except ConfigurationError:
        return False
    gramian, other = found.gramian(), wanted.gramian()
    scale = other.diagonal().nan_to_num(posinf=0).sqrt()
    same = (gramian - other).abs() <= _ALIKE * scale[:, None] * scale
    heads = zip(found.heads, wanted.heads, strict=True)
    return bool((same | ~other.isfinite()).all()) and all(_near(*pair) for pair in heads)


def _near(found: Sequence[Tensor | None], wanted: Sequence[Tensor | None]) -> bool:
    for a, b in zip(found, wanted, strict=True):
        if (a is None) != (b is None):
            return False
        if a is not None and b is not None and not _same(a, b):
            return False
    return True


def _same(found: Tensor, wanted: Tensor) -> bool:
    a, b = (one.to_dense() if one.is_sparse else one for one in (found, wanted))
    a, b = (torch.view_as_real(one) if one.is_complex() else one for one in (a, b))
    return torch.allclose(a.float(), b.float(), _ALIKE, 1e-6, equal_nan=True)


class Timed(Derivatives):
    """The derivatives an engine finds, with the time that every part of it takes.

    Args:
        engine: whose.
        problem: what is differentiated.
        seconds: where the total is appended.
    """

    def __init__(self, engine: Engine, problem: Problem, seconds: list[float]) -> None:
        self._device, self._seconds = problem.shared[0].device, seconds
        seconds.append(0.0)
        self._found = self._time(lambda: engine.differentiate(problem))
        self.heads = self._found.heads

    def gramian(self) -> Tensor:
        return self._time(self._found.gramian)

    def gramians(self) -> Tensor:
        return self._time(self._found.gramians)

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        return self._time(lambda: self._found.direction(weights))

    def directions(self, weights: Tensor) -> list[Tensor | None]:
        return self._time(lambda: self._found.directions(weights))

    def jacobian(self) -> Tensor:
        return self._time(self._found.jacobian)

    def _time(self, part: Callable[[], T]) -> T:
        began = self._now()
        found = part()
        self._seconds[-1] += self._now() - began
        return found

    def _now(self) -> float:
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
        return perf_counter()
