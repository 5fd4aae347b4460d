"""The Nash bargaining point of the gradients: the equation behind Nash-MTL."""

from __future__ import annotations

import numpy as np

from accord.linalg.gram import Array, normalise, spectrum

# Newton's steps at most; gradients that balance each other need about 30 to reach the bound, others about five.
STEPS = 100
# Added to the eigenvalues of the cosines, far below what single-precision gradients carry: bounds every bargain.
RIDGE = 1e-12
EPSILON = float(np.finfo(np.float64).eps)


def bargaining_weights(gramian: Array, power: Array) -> Array:
    """Return ``a > 0`` ``[T]`` with ``gramian @ a = power / a``, exactly, at any scale.

    That equation says that the gradient of ``a @ gramian @ a / 2 - power @ log(a)`` vanishes, which is strictly
    convex: the solution is unique, and Newton's method reaches it from anywhere. With ``a = b / norms`` only cosines
    are left, so the scales of the gradients cannot harm it. If the gradients balance each other (0 lies in their convex
    hull) there is no bargain; a ridge (:data:`RIDGE`) then bounds ``a``, and ``J.T @ a`` is 0 up to that ridge.

    Args:
        gramian: ``[T, T]`` inner products of the gradients, finite.
        power: ``[T]`` positive bargaining powers, 1 each in the paper.

    Returns:
        ``a``; 0 for a zero gradient, which has no stake in the bargain. Cost O(T^3) per step, about ten steps.
    """
    cosines, norms = normalise(gramian)
    stake = norms > 0
    weights = np.zeros_like(norms)
    if stake.any():
        weights[stake] = _solve(cosines[np.ix_(stake, stake)], power[stake]) / norms[stake]
    return weights


def _solve(cosines: Array, power: Array) -> Array:
    values, vectors = spectrum(cosines)
    matrix = (vectors * (values + RIDGE)) @ vectors.T
    point = np.full(len(power), np.sqrt(power.sum() / max(matrix.sum(), RIDGE)))
    for _ in range(STEPS):
        # Rounding of the products is all that is left: no double-precision point satisfies the equation better.
        gradient = matrix @ point - power / point
        if (np.abs(gradient) <= 4.0 * EPSILON * (np.abs(matrix) @ point * len(power) + power / point)).all():
            return point
        step = np.asarray(-np.linalg.solve(matrix + np.diag(power / point**2), gradient), np.float64)
        point += _damping(matrix, power, point, step) * step
    return point


def _damping(matrix: Array, power: Array, point: Array, step: Array) -> float:
    """Return how much of Newton's step stays positive and lowers the merit as convexity promises."""
    size = min(1.0, 0.95 / max(float((-step / point).max()), 1e-300))
    curve = float(step @ matrix @ step)
    slope = float(step @ (matrix @ point))
    for _ in range(30):
        # Differences, and not a difference of merits, which would cancel near the solution.
        change = size * slope + size**2 * curve / 2.0 - float(power @ np.log1p(size * step / point))
        if change <= 0.1 * size * (slope - float(power @ (step / point))):
            break
        size /= 2.0
    return size
