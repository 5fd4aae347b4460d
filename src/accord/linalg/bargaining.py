"""The bargaining point of the gradients: the equation behind Nash-MTL and FairGrad."""

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

    It is :func:`bargain` with exponent 1: with ``a = b / norms`` only cosines are left, so the scales of the gradients
    cannot harm it.

    Args:
        gramian: ``[T, T]`` inner products of the gradients, finite.
        power: ``[T]`` positive bargaining powers, 1 each in the paper.

    Returns:
        ``a``; 0 for a zero gradient, which has no stake in the bargain. Cost O(T^3) per step, about ten steps.
    """
    cosines, norms = normalise(gramian)
    return np.divide(bargain(cosines, power), norms, out=np.zeros_like(norms), where=norms > 0)


def bargain(cosines: Array, power: Array, exponent: float = 1.0) -> Array:
    """Return ``b > 0`` ``[T]`` with ``cosines @ b = power / b ** exponent``, exactly.

    That equation says that the gradient of ``b @ cosines @ b / 2 - sum(power * p(b))`` vanishes, where ``p`` is the
    logarithm or, for an exponent ``s`` other than 1, ``b ** (1 - s) / (1 - s)``. Both are concave: the solution is
    unique, and Newton's method reaches it from anywhere. If the gradients balance each other (0 lies in their convex
    hull) there is no bargain; a ridge (:data:`RIDGE`) then bounds ``b``, and the sum it stands for is 0 up to that
    ridge.

    Args:
        cosines: ``[T, T]`` positive semi-definite, diagonal 1 (or 0 for a zero gradient).
        power: ``[T]`` positive where the gradient is not zero.
        exponent: above 0.

    Returns:
        ``b``; 0 for a zero gradient.
    """
    stake = np.diagonal(cosines) > 0
    solution = np.zeros(len(cosines))
    if stake.any():
        solution[stake] = _solve(cosines[np.ix_(stake, stake)], power[stake], exponent)
    return solution


def _solve(cosines: Array, power: Array, exponent: float) -> Array:
    values, vectors = spectrum(cosines)
    matrix = (vectors * (values + RIDGE)) @ vectors.T
    # The answer for orthogonal gradients, brought to the length that the equation has on its own ray.
    point = power ** (1.0 / (1.0 + exponent))
    length = (power @ point ** (1.0 - exponent)) / max(float(point @ matrix @ point), RIDGE * float(point @ point))
    point *= length ** (1.0 / (1.0 + exponent))
    for _ in range(STEPS):
        # Rounding of the products is all that is left: no double-precision point satisfies the equation better.
        pull = power * point**-exponent
        gradient = matrix @ point - pull
        if (np.abs(gradient) <= 4.0 * EPSILON * (np.abs(matrix) @ point * len(power) + pull)).all():
            return point
        step = np.asarray(-np.linalg.solve(matrix + np.diag(exponent * pull / point), gradient), np.float64)
        point += _damping(matrix, power, point, step, exponent) * step
    return point


def _damping(matrix: Array, power: Array, point: Array, step: Array, exponent: float) -> float:
    """Return how much of Newton's step stays positive and lowers the merit as convexity promises."""
    size = min(1.0, 0.95 / max(float((-step / point).max()), 1e-300))
    curve = float(step @ matrix @ step)
    slope = float(step @ (matrix @ point))
    for _ in range(30):
        # Differences, and not a difference of merits, which would cancel near the solution.
        change = size * slope + size**2 * curve / 2.0 - float(power @ _growth(point, size * step, exponent))
        if change <= 0.1 * size * (slope - float(power @ (step * point**-exponent))):
            break
        size /= 2.0
    return size


def _growth(point: Array, step: Array, exponent: float) -> Array:
    """Return ``p(point + step) - p(point)`` without cancellation, ``p`` as in :func:`bargain`."""
    logs = np.log1p(step / point)
    rest = 1.0 - exponent
    return logs if rest == 0.0 else point**rest * np.expm1(rest * logs) / rest
