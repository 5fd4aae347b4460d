"""Spectral risk: weights by rank, worst losses first, and softened by a cost of leaving the average."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError, suggest
from accord.linalg.permutahedron import assign, project, project_entropy
from accord.method import Method
from accord.weighting.share import observed, share

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


class SpectralRisk(DirectWeighting):
    """Minimise ``max_q q @ L - shift D(q | 1/T)``, with ``q`` in the hull of all orders of a rising spectrum.

    Without ``shift`` the largest loss takes the largest entry of the spectrum and so on, equal losses sharing: the mean
    of the worst, smoothly or sharply cut. With it the weights leave the average only as far as the losses' spread, in
    their own unit, pays for, and move continuously with them. They are the slope of this risk in the losses.

    Shapes: losses ``[T]`` -> weights ``[T]``, not negative, summing to 1. Cost: one backward and a sort; with one
    objective per sample T may be a batch. No state.

    Args:
        spectrum: ``"cvar"``, the mean of the worst fraction ``level`` (default 1/2); ``"top_k"``, of the worst
            ``level`` losses (1, the maximum); ``"extremile"``, the expected worst of ``level`` draws (2); ``"esrm"``,
            weights growing as ``exp(level rank / T)`` (1); or numbers of your own, ascending from the weight of the
            best loss to that of the worst, which are brought to sum 1 and to the number of active tasks.
        level: as above; ``None`` for the default.
        shift: price of uneven weights, 0 or more, in the unit of the losses.
        penalty: ``"chi2"``, ``D = T |q - 1/T|^2``, or ``"kl"``, ``D = sum_i q_i log(T q_i)``.

    Source: Mehta et al., Distributionally Robust Optimization with Bias and Variance Reduction, 2024 (spectra and their
    levels; no shift is the default of the authors' code). Their code gives the first of two equal losses more weight
    than the second where there is no shift. Their optimiser Prospect solves the same problem over the samples of a
    finite sum; here the losses of a step are all at hand, and its weights are exact.
    """

    method: ClassVar[Method] = Method(
        title="Spectral risk",
        paper="Distributionally Robust Optimization with Bias and Variance Reduction",
        year=2024,
        url="https://arxiv.org/abs/2310.13863",
        needs="losses",
        cost="1 backward",
        catalogue=(457,),
    )

    def __init__(
        self,
        spectrum: Spectrum | Sequence[float] = "cvar",
        level: float | None = None,
        shift: float = 0.0,
        penalty: Penalty = "chi2",
    ) -> None:
        super().__init__()
        if not 0.0 <= shift < math.inf:
            raise ConfigurationError(f"shift must be a finite number of at least 0; got {shift}")
        if penalty not in get_args(Penalty):
            raise ConfigurationError(f"SpectralRisk has no penalty {penalty!r}. {suggest(penalty, get_args(Penalty))}")
        self.spectrum = spectrum if isinstance(spectrum, str) else _ascending(spectrum)
        self.level = _level(spectrum, level) if isinstance(spectrum, str) else None
        self.shift = shift
        self.penalty = penalty

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        values, mask = observed(losses, active, torch.zeros(0, dtype=torch.float64))
        weights = torch.zeros_like(values)
        if bool(mask.any()):
            weights[mask] = torch.from_numpy(self._weigh(values[mask].numpy()))
        return share(weights, losses, active)

    def entries(self, tasks: int) -> np.ndarray:
        """Return the spectrum for ``tasks`` losses: ``[tasks]``, ascending, summing to 1."""
        places = np.linspace(0.0, 1.0, tasks + 1)
        if not isinstance(self.spectrum, str):
            known = np.concatenate([[0.0], np.cumsum(self.spectrum)])
            return np.diff(np.interp(places, np.linspace(0.0, 1.0, len(known)), known))
        return np.diff(SHARES[self.spectrum](places, self.level or 0.0, tasks))

    def _weigh(self, losses: np.ndarray) -> np.ndarray:
        entries = self.entries(len(losses))
        spread = losses.max() - losses.min()
        price = self.shift * (2 * len(losses) if self.penalty == "chi2" else 1.0)
        if price <= spread * np.finfo(float).tiny or price == 0.0:
            return assign(losses, entries)
        # Only differences count; taking them first keeps large losses from rounding the weights away.
        scores = (losses - losses.max()) / price
        return project(scores, entries) if self.penalty == "chi2" else project_entropy(scores, entries)

    def extra_repr(self) -> str:
        return f"spectrum={self.spectrum!r}, level={self.level}, shift={self.shift}, penalty={self.penalty!r}"


def _level(spectrum: str, level: float | None) -> float:
    if spectrum not in LEVELS:
        raise ConfigurationError(f"SpectralRisk has no spectrum {spectrum!r}. {suggest(spectrum, LEVELS)}")
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
