"""What one hyper-parameter may be, as data that a specification can hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from accord.errors import ConfigurationError
from accord.training.strict import decode

Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Between:
    """A number between ``low`` and ``high``; on a ``log`` scale every factor is as likely as any other."""

    low: float
    high: float
    scale: Scale = "linear"

    def draw(self, rng: np.random.Generator, tasks: int) -> float:  # noqa: ARG002 - one number, however many tasks
        """Return one value with three significant digits."""
        if self.scale == "log":
            return float(f"{math.exp(rng.uniform(math.log(self.low), math.log(self.high))):.3g}")
        return float(f"{rng.uniform(self.low, self.high):.3g}")


@dataclass(frozen=True)
class OneOf:
    """One of a few values."""

    values: tuple[Any, ...]

    def draw(self, rng: np.random.Generator, tasks: int) -> Any:  # noqa: ARG002
        """Return one of them."""
        return self.values[int(rng.integers(len(self.values)))]


@dataclass(frozen=True)
class Simplex:
    """A weight for each task, summing to 1: Dirichlet. A concentration of 1 is uniform, more is nearer to equal."""

    simplex: float = 3.0

    def draw(self, rng: np.random.Generator, tasks: int) -> list[float]:
        """Return one point."""
        return [round(float(weight), 4) for weight in rng.dirichlet([self.simplex] * tasks)]


Range = Between | OneOf | Simplex


def parse_range(data: Any, path: str) -> Range:
    """Return the range that a specification gives: a list of values, or ``{low, high, scale}``, or ``{simplex}``.

    Raises:
        ConfigurationError: anything else; ``path`` says where it stands.
    """
    if isinstance(data, list | tuple):
        if not data:
            raise ConfigurationError(f"{path} has no value to choose from")
        return OneOf(tuple(data))
    if isinstance(data, Mapping) and "simplex" in data:
        found = decode(Simplex, data, path)
        if not 0 < found.simplex < math.inf:
            raise ConfigurationError(f"{path}.simplex must be above 0, not {found.simplex!r}")
        return found
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"{path} must be a list of values or a mapping with low and high, not {data!r}")
    found = decode(Between, data, path)
    if not -math.inf < found.low < found.high < math.inf:
        raise ConfigurationError(f"{path}: low must lie below high, not {found.low!r} and {found.high!r}")
    if found.scale == "log" and found.low <= 0:
        raise ConfigurationError(f"{path}: a log scale needs low above 0, not {found.low!r}")
    return found
