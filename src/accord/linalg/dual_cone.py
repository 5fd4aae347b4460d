"""Projection onto the dual cone of the gradients: the nearest direction that no task objects to."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.linalg.gram import Array, normalise, positive_definite, root
from accord.linalg.nonnegative import nonnegative_least_squares

# Columns whose optimality conditions are met to this times T, in units of unit gradients, are done. It is strict
# because projections of large gradients are added to those of small ones.
TOLERANCE = 1e-13
# Passes of exchange before a column is left to the slower method that cannot cycle, and steps that guess its start.
PASSES = 6
GUESSES = 20
# Power iterations that estimate the largest eigenvalue, on which the length of those steps rests.
POWERS = 8


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
    # One problem per row from here on: what is read and written together then lies together.
    offsets = np.ascontiguousarray((cosines @ points).T)
    definite = positive_definite(cosines)
    solution = np.zeros_like(offsets)
    positive = _guess(cosines, offsets)
    rows = np.arange(len(offsets))
    for _ in range(PASSES):
        for row in rows:
            solution[row] = _on_support(definite, offsets[row], positive[row])
        part = solution[rows]
        slack = part @ cosines + offsets[rows]
        allowed = TOLERANCE * len(cosines) * np.maximum(1.0, part.max(axis=1, initial=0.0))[:, None]
        wrong = np.where(positive[rows], (part < 0) | (np.abs(slack) > allowed), slack < -allowed)
        positive[rows] ^= wrong
        rows = rows[wrong.any(axis=1)]
        if not rows.size:
            return solution.T
    solution[rows] = _one_by_one(cosines, points[:, rows])
    return solution.T


def _on_support(definite: Array, offset: Array, positive: NDArray[np.bool_]) -> Array:
    """Return the solution ``[T]`` of the equations of the ``positive`` entries, 0 elsewhere."""
    found = np.zeros_like(offset)
    chosen = positive.nonzero()[0]
    if chosen.size:
        block = definite.take(chosen, 0).take(chosen, 1)
        found[chosen] = _lapack()(block, -offset[chosen], overwrite_a=1, overwrite_b=1)[1]
    return found


def _guess(cosines: Array, offsets: Array) -> NDArray[np.bool_]:
    """Return which entries ``[m, T]`` of the solutions are likely to be positive: Nesterov's method, projected.

    In single precision, for signs are all that is asked for, and the steps' length rests on an estimate.
    """
    step = 1.0 / _largest_eigenvalue(cosines)
    matrix, shift = (cosines * step).astype(np.float32), (offsets * step).astype(np.float32)
    current = np.maximum(-shift, 0.0)
    ahead, following, momentum = current.copy(), np.empty_like(current), 1.0
    positive = current > 0
    for step_number in range(1, GUESSES + 1):
        np.matmul(ahead, matrix, out=following)
        following += shift
        np.maximum(np.subtract(ahead, following, out=following), 0.0, out=following)
        growth = (1.0 + math.sqrt(1.0 + 4.0 * momentum**2)) / 2.0
        np.subtract(following, current, out=ahead)
        ahead *= (momentum - 1.0) / growth
        ahead += following
        current, following, momentum = following, current, growth
        if step_number % 4 == 0:
            positive, before = current > 0, positive
            if np.array_equal(positive, before):
                break
    return current > 0


def _largest_eigenvalue(cosines: Array) -> float:
    """Return a little more than the largest eigenvalue is likely to be, and at least 1."""
    # Uneven, so that it is orthogonal to no likely eigenvector.
    vector = 1.0 + 0.1 * np.cos(np.arange(len(cosines)))
    for _ in range(POWERS):
        vector = cosines @ vector
        vector /= max(float(np.linalg.norm(vector)), 1e-300)
    return max(1.1 * float(np.linalg.norm(cosines @ vector)), 1.0)


def _one_by_one(cosines: Array, points: Array) -> Array:
    units = root(cosines)
    balance = _balance(cosines, units)
    if balance is None:
        return np.stack([nonnegative_least_squares(units, -units @ point) for point in points.T])
    return np.stack([(point / balance).max() * balance - point for point in points.T])


def _balance(cosines: Array, units: Array) -> Array | None:
    """Return ``w >= 1`` with ``cosines @ w = 0``, if there is one: no direction helps then, every projection is 0."""
    weights = 1.0 + nonnegative_least_squares(units, -units.sum(axis=1))
    rest = np.abs(cosines @ weights).max()
    return weights if rest <= TOLERANCE * len(cosines) * weights.max() else None
