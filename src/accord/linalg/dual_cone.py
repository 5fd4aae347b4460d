"""Projection onto the dual cone of the gradients: the nearest direction that no task objects to."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from accord.linalg.gram import Array, normalise, positive_definite, root
from accord.linalg.nonnegative import nonnegative_least_squares

# Columns whose optimality conditions are met to this times T, in units of unit gradients, are done. It is strict
# because projections of large gradients are added to those of small ones.
TOLERANCE = 1e-13
# Passes of exchange before a column is left to the slower method that cannot cycle, and steps that guess its start.
PASSES = 6
GUESSES = 12


@cache
def _lapack() -> Any:
    from scipy.linalg import get_lapack_funcs  # a third of a second that runs without a solver should not pay

    return get_lapack_funcs(("posv",), dtype=np.float64)[0]


def dual_cone_weights(gramian: Array, lower: Array) -> Array:
    """Return weights that minimise ``w @ gramian @ w`` subject to ``w >= lower``, one problem per column of ``lower``.

    The combination ``J.T @ w`` is the projection of ``J.T @ lower`` onto the cone of directions whose inner product
    with every gradient is non-negative. Exact at any relative and absolute scale of the gradients.

    Args:
        gramian: ``[T, T]`` inner products of the gradients, finite.
        lower: ``[T, m]``.

    Returns:
        ``[T, m]``. Cost about O(m (T/2)^3 / 3) where the gradients are independent, and more where they are not.
    """
    cosines, norms = normalise(gramian)
    scaled = norms[:, None] * lower
    # Each problem is solved at length 1, for its multipliers grow with the vector that is projected.
    lengths = np.abs(scaled).max(axis=0)
    lengths[lengths == 0] = 1.0
    multipliers = cone_multipliers(cosines, scaled / lengths) * lengths
    return lower + np.divide(multipliers, norms[:, None], out=np.zeros_like(lower), where=norms[:, None] > 0)


def cone_multipliers(cosines: Array, points: Array) -> Array:
    """Return ``s >= 0`` with ``y = cosines @ (s + points) >= 0`` and ``s * y = 0``, per column of ``points``.

    Block principal pivoting (Kim and Park 2011): guess which entries of ``s`` are positive, solve for them, exchange
    those of the wrong sign. Accelerated projected gradient steps over all columns at once make the first guess, so
    that nearly every column needs one solve. Columns that do not settle, as with dependent gradients, go to an active
    set method one by one.

    Args:
        cosines: ``[T, T]`` positive semi-definite, diagonal 1 (or 0 for a zero gradient).
        points: ``[T, m]``, what to project, as combinations of unit gradients with entries of order 1.
    """
    offsets = cosines @ points
    definite = positive_definite(cosines)
    solution = np.zeros_like(offsets)
    positive = _guess(cosines, offsets) > 0
    columns = np.arange(offsets.shape[1])
    for _ in range(PASSES):
        for column in columns:
            chosen = np.flatnonzero(positive[:, column])
            solution[:, column] = 0.0
            if chosen.size:
                block = definite[chosen[:, None], chosen]
                solution[chosen, column] = _lapack()(block, -offsets[chosen, column])[1]
        part = solution[:, columns]
        slack = cosines @ part + offsets[:, columns]
        allowed = TOLERANCE * len(cosines) * np.maximum(1.0, part.max(axis=0, initial=0.0))
        wrong = np.where(positive[:, columns], (part < 0) | (np.abs(slack) > allowed), slack < -allowed)
        positive[:, columns] ^= wrong
        columns = columns[wrong.any(axis=0)]
        if not columns.size:
            return solution
    solution[:, columns] = _one_by_one(cosines, points[:, columns])
    return solution


def _guess(cosines: Array, offsets: Array) -> Array:
    # Nesterov's accelerated projected gradient; the row sums bound the largest eigenvalue.
    rate = 1.0 / max(np.abs(cosines).sum(axis=0).max(), 1.0)
    current = np.maximum(-rate * offsets, 0.0)
    ahead, momentum = current, 1.0
    for _ in range(GUESSES):
        following = np.maximum(ahead - rate * (cosines @ ahead + offsets), 0.0)
        growth = (1.0 + np.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        ahead = following + (momentum - 1.0) / growth * (following - current)
        current, momentum = following, growth
    return current


def _one_by_one(cosines: Array, points: Array) -> Array:
    units = root(cosines)
    return np.stack([nonnegative_least_squares(units, -units @ point) for point in points.T], axis=1)
