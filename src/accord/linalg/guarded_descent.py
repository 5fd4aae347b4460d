"""The common descent direction of several gradients that also keeps descending one more: the question behind FORUM."""

from __future__ import annotations

import numpy as np

from accord.linalg.gram import Array
from accord.linalg.min_norm import min_norm_weights


def guarded_weights(gramian: Array, floor: float) -> Array:
    """Return weights ``[m + 1]``, the first m on the simplex, that minimise ``|w @ A|^2 / 2 - floor |A_m|^2 w_m``.

    Their combination ``d = w @ A`` is the shortest that, by duality, makes the smallest ``d @ A_i`` of the first m rows
    largest among those with ``d @ A_m >= floor |A_m|^2``.

    Args:
        gramian: ``[m + 1, m + 1]`` inner products of the rows; the last one is the row to guard.
        floor: how far the direction must follow it, in units of its own length; above 0, so that its weight is unique.
    """
    count = len(gramian) - 1
    free = np.append(min_norm_weights(gramian[:count, :count]), 0.0)
    square = gramian[count, count]
    if square <= 0.0 or gramian[count] @ free >= floor * square:
        return free  # the guard is met without pulling at it
    # With the guard met exactly its weight is known, w_m = floor - c @ w, and what is left of the others is orthogonal.
    pull = gramian[count, :count] / square
    rest = gramian[:count, :count] - square * np.outer(pull, pull)
    chosen = _simplex_quadratic(rest, floor * square * pull)
    return np.append(chosen, max(floor - pull @ chosen, 0.0))


def _simplex_quadratic(matrix: Array, linear: Array) -> Array:
    """Return the ``x`` on the simplex that minimises ``x @ matrix @ x / 2 + linear @ x``, by its active set.

    From the best vertex on, the set grows by the variable that lies most downhill, and the minimum over the set is
    approached as far as all stay non-negative, as in Lawson and Hanson's method for the cone.
    """
    count = len(linear)
    start = int(np.argmin(matrix.diagonal() / 2 + linear))
    inside = np.zeros(count, dtype=bool)
    inside[start] = True
    point = inside.astype(float)
    scale = max(float(np.abs(matrix).max()), float(np.abs(linear).max()), np.finfo(float).tiny)
    # Along a flat direction the linear term alone falls without end; bent this little, it ends beyond the simplex.
    bent = matrix + 1e-12 * scale * np.eye(count)
    for _ in range(20 * count + 20):
        slope = bent @ point + linear
        gain = np.where(inside, -np.inf, slope @ point - slope)
        best = int(np.argmax(gain))
        if gain[best] <= 1e-13 * scale:
            break
        inside[best] = True
        point = _minimum_within(bent, linear, inside, point)
    return point / point.sum()


def _minimum_within(matrix: Array, linear: Array, inside: np.ndarray, point: Array) -> Array:
    """Move ``point`` to the minimum over the variables ``inside``, giving up those that reach 0 on the way."""
    while True:
        chosen = inside.nonzero()[0]
        size = len(chosen)
        system = np.ones((size + 1, size + 1))
        system[:size, :size], system[size, size] = matrix[np.ix_(chosen, chosen)], 0.0
        target = np.zeros(len(point))
        target[chosen] = np.linalg.solve(system, np.append(-linear[chosen], 1.0))[:size]
        falling = inside & (target <= 0.0) & (point > target)
        if not falling.any():
            return np.maximum(target, 0.0)
        step = np.min(point[falling] / (point[falling] - target[falling]))
        point = np.maximum(point + step * (target - point), 0.0)
        inside &= ~(falling & (point <= 1e-15))
