"""The Pareto optimal point that is on the preference's ray."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from accord.errors import ConfigurationError
from accord.linalg import min_norm_weights
from accord.method import Method
from accord.pareto.linear_programme import best_mixture
from accord.pareto.points import Array
from accord.pareto.preference_solver import PreferenceSolver

# Cosine below 0 at which a task counts as pushed against its gradient; above it, that is rounding.
CONFLICT = 1e-9


class EPO(PreferenceSolver):
    """Exact Pareto optimal search: balance ``r_i l_i`` over the tasks, then descend along the ray of equal ones.

    With ``s = r l / sum(r l)``, the non-uniformity is ``mu = sum s_i log(T s_i)``, and ``a_i = r_i (log(T s_i) - mu)``
    is how the losses should fall for it to fall. ``C`` is the Gramian, and weights ``w`` are on the simplex. Each step
    solves one of two linear programmes:

    - *balance*, while ``mu > tolerance``: most ``w @ C a``, where no task moves against its gradient more than it does
      under ``C a`` itself, and the task with the largest ``r_i l_i`` does not rise; if ``C a`` is positive nowhere, no
      task rises.
    - *descent*: most ``sum(C w)``, where no task rises and ``mu`` does not either (that condition is dropped where it
      excludes every direction of descent, as the authors' relaxed form does).

    Shapes: Gramian ``[T, T]``, losses ``[T]`` -> weights ``[T]``. Cost: O(T^2 P) and about 2 ms for the programme.

    Args:
        preference: ``[T]``, the paper's ``r``: more of it asks for a lower loss. Equal if ``None``.
        tolerance: above 0; non-uniformity (in nats, at most ``log T``) that passes for balanced.

    Raises:
        ConfigurationError: a preference or the tolerance is not positive; in a step, losses are missing or negative.

    Source: Mahapatra and Rajan, Multi-Task Learning with User Preferences: Gradient Descent with Controlled Ascent in
    Pareto Optimization, 2020 (tolerance 1e-4, the authors' code). Both programmes have a solution at any scale, for the
    min-norm weights keep all conditions: what the solver's tolerance leaves violated is moved towards them, and where
    gradients are too many decades apart for it they are the answer. Peers use the preference itself there.
    """

    method: ClassVar[Method] = Method(
        title="EPO",
        paper="Multi-Task Learning with User Preferences: "
        "Gradient Descent with Controlled Ascent in Pareto Optimization",
        year=2020,
        url="https://proceedings.mlr.press/v119/mahapatra20a.html",
        needs="gramian",
        cost="T backwards + O(T^2 P) and a linear programme",
    )

    def __init__(self, preference: Sequence[float] | Tensor | None = None, tolerance: float = 1e-4) -> None:
        super().__init__(preference)
        if not 0.0 < tolerance < float("inf"):
            raise ConfigurationError(f"tolerance must be a finite number above 0, 1e-4 for one; got {tolerance}")
        self.tolerance = tolerance

    def solve(self, gramian: Array, losses: Array, preference: Array) -> Array:
        gramian = gramian / np.diagonal(gramian).max()
        weighted = preference * losses
        unevenness, pull = adjustments(weighted, preference)
        progress = gramian @ pull
        if unevenness > self.tolerance:
            bounds = np.zeros(len(losses))
            if (progress > 0).any():
                bounds = np.where(progress > 0, -np.inf, progress)
                bounds[weighted == weighted.max()] = 0.0
            found = best_mixture(progress, gramian, bounds)
        else:
            bounds = np.zeros(len(losses))
            total = gramian.sum(axis=0)
            found = best_mixture(total, np.vstack([gramian, progress]), np.append(bounds, min(progress.max(), 0.0)))
            found = best_mixture(total, gramian, bounds) if found is None else found
        safe = min_norm_weights(gramian)
        return safe if found is None else _repaired(found, safe, gramian, bounds)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, tolerance={self.tolerance}"


def adjustments(weighted: Array, preference: Array) -> tuple[float, Array]:
    """Return the non-uniformity of ``r l`` ``[T]`` and the pull ``a`` ``[T]`` on the losses that lowers it."""
    if not weighted.any():
        return 0.0, np.zeros_like(weighted)
    shares = weighted / weighted.max()
    shares = shares / shares.sum()
    logs = np.log(np.maximum(shares, np.finfo(np.float64).tiny) * len(shares))
    unevenness = float(shares @ logs)
    return unevenness, preference * (logs - unevenness)


def _repaired(found: Array, safe: Array, gramian: Array, bounds: Array) -> Array:
    """Return the nearest weights to ``found`` on the way to ``safe`` that keep the ``bounds``."""
    had, have = gramian @ found, gramian @ safe
    length = np.sqrt(max(float(found @ had), 0.0))
    short = bounds - had
    wrong = (short > CONFLICT * np.sqrt(np.diagonal(gramian)) * length) & (have > had)
    if not wrong.any():
        return found
    share = min(1.0, float((short[wrong] / (have[wrong] - had[wrong])).max()))
    return (1 - share) * found + share * safe
