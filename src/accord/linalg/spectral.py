"""Risks that weigh losses by their rank, and what their weights are where leaving the average costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from accord.errors import ConfigurationError, suggest
from accord.linalg.gram import Array
from accord.linalg.permutahedron import assign, project, project_entropy

Spectrum = Literal["cvar", "top_k", "extremile", "esrm"]
Penalty = Literal["chi2", "kl"]

# Default level of each spectrum and the range it may take.
LEVELS: dict[str, tuple[float, float, float]] = {
    "cvar": (0.5, 0.0, 1.0),
    "top_k": (1.0, 1.0, math.inf),
    "extremile": (2.0, 1.0, math.inf),
    "esrm": (1.0, 0.0, math.inf),
}


def _exponential(place: np.ndarray, aversion: float) -> np.ndarray:
    return np.exp(aversion * (place - 1.0)) * -np.expm1(-aversion * place) / -math.expm1(-aversion)


# Weight of the best fraction of n losses, at a level.
SHARES: dict[str, Callable[[np.ndarray, float, int], np.ndarray]] = {
    "cvar": lambda place, level, _: np.maximum(place - (1.0 - level), 0.0) / level,
    "top_k": lambda place, level, n: np.maximum(place * n - (n - min(level, n)), 0.0) / min(level, n),
    "extremile": lambda place, level, _: place**level,
    "esrm": lambda place, level, _: _exponential(place, level),
}


@dataclass(frozen=True, slots=True)
class Risk:
    """The risk ``max_q q @ L - shift D(q | 1/n)`` with ``q`` in the hull of all orders of a rising spectrum.

    Attributes:
        spectrum: a name, or ascending entries that sum to 1.
        level: of a named spectrum.
        shift: price of uneven weights, in the unit of the losses.
        penalty: ``"chi2"``, ``D = n |q - 1/n|^2``, or ``"kl"``, ``D = sum_i q_i log(n q_i)``.
    """

    spectrum: str | list[float]
    level: float | None
    shift: float
    penalty: str

    @classmethod
    def read(cls, spectrum: str | Sequence[float], level: float | None, shift: float, penalty: str, owner: str) -> Risk:
        """Check what people pass to ``owner``, and fill in the default level."""
        if not 0.0 <= shift < math.inf:
            raise ConfigurationError(f"shift must be a finite number of at least 0; got {shift}")
        if penalty not in get_args(Penalty):
            raise ConfigurationError(f"{owner} has no penalty {penalty!r}. {suggest(penalty, get_args(Penalty))}")
        if isinstance(spectrum, str):
            return cls(spectrum, _level(spectrum, level, owner), shift, penalty)
        return cls(_ascending(spectrum), None, shift, penalty)

    def entries(self, count: int) -> Array:
        """Return the spectrum for ``count`` losses: ``[count]``, ascending, summing to 1."""
        places = np.linspace(0.0, 1.0, count + 1)
        if not isinstance(self.spectrum, str):
            known = np.concatenate([[0.0], np.cumsum(self.spectrum)])
            return np.diff(np.interp(places, np.linspace(0.0, 1.0, len(known)), known))
        return np.diff(SHARES[self.spectrum](places, self.level or 0.0, count))

    def weights(self, losses: Array) -> Array:
        """Return the best ``q`` ``[n]`` for finite losses ``[n]``: the slope of the risk in them."""
        entries = self.entries(len(losses))
        spread = losses.max() - losses.min()
        price = self.shift * (2 * len(losses) if self.penalty == "chi2" else 1.0)
        if price <= spread * np.finfo(float).tiny or price == 0.0:
            return assign(losses, entries)
        # Only differences count; taking them first keeps large losses from rounding the weights away.
        scores = (losses - losses.max()) / price
        return project(scores, entries) if self.penalty == "chi2" else project_entropy(scores, entries)


def _level(spectrum: str, level: float | None, owner: str) -> float:
    if spectrum not in LEVELS:
        raise ConfigurationError(f"{owner} has no spectrum {spectrum!r}. {suggest(spectrum, LEVELS)}")
    default, low, high = LEVELS[spectrum]
    found = default if level is None else level
    if not (low <= found <= high and 0.0 < found < math.inf):
        raise ConfigurationError(f"the level of {spectrum} must be above 0 and from {low:g} to {high:g}; got {level}")
    return found


def _ascending(spectrum: Sequence[float]) -> list[float]:
    entries = np.asarray(spectrum, dtype=float)
    right = entries.ndim == 1 and entries.size and np.isfinite(entries).all() and entries[-1] > 0
    if not right or entries[0] < 0 or (np.diff(entries) < 0).any():
        raise ConfigurationError(
            f"a spectrum is a list of finite, non-negative, ascending numbers, not all 0; got {spectrum}"
        )
    return (entries / entries.sum()).tolist()
