"""The bargaining point of the gradients: the equation behind Nash-MTL and FairGrad."""

from __future__ import annotations

import numpy as np

from accord.linalg.gram import Array, normalise, precision, spectrum

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
    found = bargain(cosines, np.log(power), rounding=precision(gramian))
    return np.divide(found, norms, out=np.zeros_like(norms), where=norms > 0)


def bargain(cosines: Array, powers: Array, exponent: float = 1.0, rounding: float = EPSILON) -> Array:
    """Return ``b > 0`` ``[T]`` with ``cosines @ b = exp(powers) / b ** exponent``, exactly.

    That equation says that the gradient of ``b @ cosines @ b / 2 - sum(exp(powers) * p(b))`` vanishes, where ``p`` is
    the logarithm or, for an exponent ``s`` other than 1, ``b ** (1 - s) / (1 - s)``. Both are concave: the solution is
    unique, and Newton's method reaches it from anywhere. If the gradients balance each other (0 lies in their convex
    hull) there is no bargain; a ridge (:data:`RIDGE`), and no eigenvalue counting as less than its rounding, then bound
    ``b`` so that the sum it stands for is 0 as nearly as gradients of that precision can be added up.

    Args:
        cosines: ``[T, T]`` positive semi-definite, diagonal 1 (or 0 for a zero gradient).
        powers: ``[T]`` logarithms of the bargaining powers, which for a large exponent no float could hold.
        exponent: above 0.
        rounding: relative rounding of the entries of ``cosines``.

    Returns:
        ``b``; 0 for a zero gradient.
    """
    stake = np.diagonal(cosines) > 0
    solution = np.zeros(len(cosines))
    if stake.any():
        with np.errstate(over="ignore", invalid="ignore"):  # of points too far out, which are not taken
            solution[stake] = _solve(cosines[np.ix_(stake, stake)], powers[stake], exponent, rounding)
    return solution


def _solve(cosines: Array, powers: Array, exponent: float, rounding: float) -> Array:
    values, vectors = spectrum(cosines)
    matrix = (vectors * (np.maximum(values, len(values) * rounding * values[-1]) + RIDGE)) @ vectors.T
    # The answer for orthogonal gradients, brought to the length that the equation has on its own ray.
    point = np.exp(powers / (1.0 + exponent))
    length = (point @ pull_at(point, powers, exponent)) / max(
        float(point @ matrix @ point), RIDGE * float(point @ point)
    )
    point *= length ** (1.0 / (1.0 + exponent))
    for _ in range(STEPS):
        pull = pull_at(point, powers, exponent)
        gradient = matrix @ point - pull
        # Rounding of products and logarithms is all that is left: no double-precision point is better.
        digits = 1.0 + np.abs(powers) + exponent * np.abs(np.log(point))
        if (np.abs(gradient) <= 4.0 * EPSILON * (np.abs(matrix) @ point * len(point) + pull * digits)).all():
            return point
        step = np.asarray(-np.linalg.solve(matrix + np.diag(exponent * pull / point), gradient), np.float64)
        point += _damping(matrix, pull, point, step, exponent) * step
    return point


def pull_at(point: Array, powers: Array, exponent: float) -> Array:
    """Return ``exp(powers) / point ** exponent`` ``[T]``."""
    return np.exp(powers - exponent * np.log(point))


def _damping(matrix: Array, pull: Array, point: Array, step: Array, exponent: float) -> float:
    """Return how much of Newton's step stays positive and lowers the merit as convexity promises."""
    size = min(1.0, 0.95 / max(float((-step / point).max()), 1e-300))
    curve = float(step @ matrix @ step)
    slope = float(step @ (matrix @ point))
    for _ in range(30):
        # Differences, and not a difference of merits, which would cancel near the solution.
        growth = float((pull * point) @ _growth(size * step / point, exponent))
        if size * slope + size**2 * curve / 2.0 - growth <= 0.1 * size * (slope - float(pull @ step)):
            break
        size /= 2.0
    return size


def _growth(step: Array, exponent: float) -> Array:
    """Return ``p(1 + step) - p(1)`` without cancellation, ``p`` as in :func:`bargain`."""
    logs = np.log1p(step)
    rest = 1.0 - exponent
    return logs if rest == 0.0 else np.expm1(rest * logs) / rest
