"""Predict along the preference's ray, correct where the losses have left it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from torch import Tensor

from accord.errors import ConfigurationError
from accord.linalg import min_norm_weights, normalise, precision
from accord.method import Method
from accord.pareto.linear_programme import best_worst
from accord.pareto.points import Array
from accord.pareto.preference_solver import PreferenceSolver, rays

# A part of the losses' length below which a distance from the ray is rounding and points nowhere.
ROUNDING = 1e-12


class PMGDA(PreferenceSolver):
    """Preference-based MGDA: the common descent direction that keeps to the ray, or the fastest one back to it.

    ``h(l)`` is the distance of the losses from the ray on which ``preference_i l_i`` is alike. Its gradient over the
    parameters is ``b @ J`` with ``b = dh/dl``, a mixture of the tasks' gradients, so the Gramian decides all.

    - *predict*, if ``h <= tolerance |l|``: the shortest ``w @ J + v b @ J`` with ``w`` on the simplex and any ``v``,
      that is, MGDA on what is left of the gradients across ``b @ J``.
    - *correct*, else: among mixtures ``d`` of the ``T + 1`` gradients brought to length 1, the one whose smallest
      ``<g_i, d>`` is largest while ``h`` falls at ``sigma`` of its fastest rate. It is then brought to the gradients'
      mean length.

    Weights may be negative. Shapes: Gramian ``[T, T]``, losses ``[T]`` -> weights ``[T]``. Cost: O(T^2 P) and about
    2 ms for the linear programme.

    Args:
        preference: ``[T]``, more of it asks for a lower loss. Equal if ``None``.
        tolerance: in (0, 1), sine of the angle to the ray that passes for being on it.
        sigma: in (0, 1], share of the fastest way back that a correction keeps.

    Raises:
        ConfigurationError: an option is out of range; in a step, losses are missing or negative.

    Source: Zhang, Lin and Zhang, PMGDA: A Preference-based Multiple Gradient Descent Algorithm, 2024 (tolerance 0.01
    and sigma 0.95, the configuration of the authors' code). There ``h`` itself is compared with 0.01, here ``h / |l|``,
    which has no unit. The prediction is the paper's, in the tangent space of ``h``; the authors' library uses MGDA
    there. It also adds 1e-4 to the lengths that it divides by.
    """

    method: ClassVar[Method] = Method(
        title="PMGDA",
        paper="PMGDA: A Preference-based Multiple Gradient Descent Algorithm",
        year=2024,
        url="https://arxiv.org/abs/2402.09492",
        needs="gramian",
        cost="T backwards + O(T^2 P) and a linear programme",
    )

    def __init__(
        self, preference: Sequence[float] | Tensor | None = None, tolerance: float = 0.01, sigma: float = 0.95
    ) -> None:
        super().__init__(preference)
        if not 0.0 < tolerance < 1.0:
            raise ConfigurationError(f"tolerance must lie in (0, 1), 0.01 for one; got {tolerance}")
        if not 0.0 < sigma <= 1.0:
            raise ConfigurationError(f"sigma must lie in (0, 1], 0.95 for one; got {sigma}")
        self.tolerance, self.sigma = tolerance, sigma

    def solve(self, gramian: Array, losses: Array, preference: Array) -> Array:
        ray = rays(preference)
        losses = losses / (losses.max() or 1.0)
        away = losses - (losses @ ray) * ray
        distance, length = float(np.linalg.norm(away)), float(np.linalg.norm(losses))
        slope = away / distance if distance > ROUNDING * length else np.zeros_like(away)
        if distance <= self.tolerance * length:
            return _predict(gramian, slope)
        return self._correct(gramian, slope)

    def _correct(self, gramian: Array, slope: Array) -> Array:
        mixtures = np.vstack([np.eye(len(slope)), slope])
        cosines, norms = normalise(mixtures @ gramian @ mixtures.T)
        if norms[-1] <= norms.max() * precision(gramian):
            return min_norm_weights(gramian)  # no step moves the losses towards the ray
        weights = best_worst(norms[:-1, None] * cosines[:-1], cosines[-1:], np.array([self.sigma]))
        if weights is None:  # the way back alone keeps the condition: rounding has made its cosine with itself less
            weights = np.append(np.zeros(len(slope)), 1.0)
        shares = np.divide(weights, norms, out=np.zeros_like(weights), where=norms > 0)
        return float(norms[:-1].mean()) * (shares[:-1] + shares[-1] * slope)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, tolerance={self.tolerance}, sigma={self.sigma}"


def _predict(gramian: Array, slope: Array) -> Array:
    """Return MGDA's weights across the gradient of ``h``, and as much of that as takes its part away."""
    across = gramian @ slope
    square = float(slope @ across)
    if square <= precision(gramian) * np.diagonal(gramian).max():
        return min_norm_weights(gramian)
    rest = gramian - np.outer(across, across) / square
    rest[np.diagonal(rest) <= 10 * precision(gramian) * np.diagonal(gramian)] = 0.0
    weights = min_norm_weights(np.where(np.diagonal(rest) > 0, rest, 0.0))
    return weights - float(weights @ across) / square * slope
