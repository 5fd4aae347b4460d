"""Projection onto the dual cone of the gradients: the nearest direction that no task objects to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accord.linalg.gram import Array, normalise, positive_definite
from accord.linalg.lapack import lapack
from accord.linalg.modulus import likely_multipliers
from accord.linalg.nonnegative import nonnegative_least_squares

# Columns whose optimality conditions are met to this times T, in units of unit gradients, are done. It is strict
# because projections of large gradients are added to those of small ones.
TOLERANCE = 1e-13
# Problems per task from which on it pays to guess at all of them together first.
MANY = 1 / 8
# Tasks from which on a problem left over is solved from its guess, and not from nothing by a compiled method.
LARGE = 64
# Solves per task after which that has cost as much as starting from nothing.
PATIENCE = 0.125
# A squared distance from the span of the other gradients that is more than rounding, per task.
INDEPENDENT = 1e-11
# Parts of a balance along eigenvalues above this are taken out of it.
CANCELLED = 1e-9
# Multipliers above this are those of gradients that nearly balance, magnified until rounding does the rest: they are
# no balance, and are allowed no more rounding for their size.
LONGEST = 1e4


def dual_cone_weights(gramian: Array, lower: Array) -> Array:
    """Return weights that minimise ``w @ gramian @ w`` subject to ``w >= lower``, one problem per column of ``lower``.

    The combination ``J.T @ w`` is the projection of ``J.T @ lower`` onto the cone of directions whose inner product
    with every gradient is non-negative. Exact at any relative and absolute scale of the gradients.

    Args:
        gramian: ``[T, T]`` inner products of the gradients, finite.
        lower: ``[T, m]``.

    Returns:
        ``[T, m]``. Cost about O(m (T/2)^3 / 3) where the gradients are independent or no direction helps; up to ten
        times that where they are dependent or opposed and yet leave some direction.
    """
    cosines, norms = normalise(gramian)
    weights, used = lower.copy(), norms > 0
    if not used.any():
        return weights
    scaled = (norms[:, None] * lower)[used]
    # Each problem is solved at length 1, for its multipliers grow with the vector that is projected.
    lengths = np.abs(scaled).max(axis=0)
    lengths[lengths == 0] = 1.0
    weights[used] += cone_multipliers(cosines[used][:, used], scaled / lengths) * lengths / norms[used, None]
    return weights


def cone_multipliers(cosines: Array, points: Array) -> Array:
    """Return ``s >= 0`` with ``y = cosines @ (s + points) >= 0`` and ``s * y = 0``, per column of ``points``.

    Block principal pivoting (Kim and Park 2011): guess which entries of ``s`` are positive, solve for them, exchange
    those of the wrong sign. The guess, made for all columns at once, is so near that nearly every column needs one or
    two solves. Where exchanges stop to help, as between dependent gradients, an active set method goes on from the
    guess, and cannot cycle. Where gradients hold each other in balance, every projection is 0 and is known at once.

    Args:
        cosines: ``[T, T]`` positive semi-definite but for rounding, diagonal 1.
        points: ``[T, m]``, what to project, as combinations of unit gradients with entries of order 1.
    """
    definite = positive_definite(cosines)
    # One problem per row from here on: what is read and written together then lies together.
    offsets = np.ascontiguousarray((definite @ points).T)
    start, positive = None, offsets < 0
    if len(offsets) >= MANY * len(definite):
        start = likely_multipliers(definite, offsets)
        balance = _balance(definite, 1.0 + start.sum(axis=0))
        if balance is not None:
            return np.maximum(balance[:, None] * (points / balance[:, None]).max(axis=0) - points, 0.0)
        positive = start > 0
    solution, rest = _exchange(definite, offsets, positive)
    if rest.size:
        starts = None if start is None or len(definite) < LARGE else start[rest]
        solution[rest] = _one_by_one(definite, points[:, rest].T, starts)
    return solution.T


def _exchange(definite: Array, offsets: Array, positive: NDArray[np.bool_]) -> tuple[Array, NDArray[np.intp]]:
    """Return solutions ``[m, T]``, and the rows that have none because an exchange left no fewer wrong entries."""
    solution = np.zeros_like(offsets)
    count, rows = np.full(len(offsets), len(definite) + 1), np.arange(len(offsets))
    stuck = [rows[:0]]
    while rows.size:
        for row in rows:
            solution[row] = _on_support(definite, offsets[row], positive[row])
        wrong = _wrong(definite, offsets[rows], solution[rows], positive[rows])
        number = wrong.sum(axis=1)
        fewer = number < count[rows]
        count[rows] = number
        stuck.append(rows[~fewer])
        going = fewer & (number > 0)
        positive[rows[going]] ^= wrong[going]
        rows = rows[going]
    return solution, np.concatenate(stuck)


def _wrong(definite: Array, offsets: Array, solution: Array, positive: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which entries ``[m, T]`` of the solutions of the equations on a support are on the wrong side of it."""
    slack = solution @ definite + offsets
    allowed = _allowed(solution)[:, None]
    return np.where(positive, (solution < 0) | (np.abs(slack) > allowed), slack < -allowed)


def _allowed(solution: Array) -> Array:
    """Return how far a slack may be from what it should be, per row of the solutions ``[..., T]``."""
    return TOLERANCE * solution.shape[-1] * np.clip(solution.max(axis=-1), 1.0, LONGEST)


def _on_support(definite: Array, offset: Array, positive: NDArray[np.bool_]) -> Array:
    """Return the solution ``[T]`` of the equations of the ``positive`` entries, 0 elsewhere."""
    found = np.zeros_like(offset)
    chosen = positive.nonzero()[0]
    if chosen.size:
        block = definite.take(chosen, 0).take(chosen, 1)
        # Transposed, it is laid out as LAPACK wants it, and it is symmetric.
        found[chosen] = lapack("posv")(block.T, -offset[chosen], overwrite_a=1, overwrite_b=1)[1]
    return found


def _one_by_one(definite: Array, points: Array, starts: Array | None) -> Array:
    """Return the multipliers of ``points``, both ``[n, T]``, by methods that cannot cycle, from ``starts`` if given."""
    # The ridge tells apart what differs by rounding alone, which huge weights would reach for otherwise.
    units = _root(definite)
    found = np.zeros_like(points)
    for row, point in enumerate(points):
        near = None if starts is None else _descend(definite, definite @ point, starts[row])
        found[row] = nonnegative_least_squares(units, -units @ point) if near is None else near
    return found


def _descend(definite: Array, offset: Array, start: Array) -> Array | None:
    """Return the multipliers ``[T]`` of one problem, found from ``start >= 0``; ``None`` where that is no good start.

    As Lawson and Hanson's active set method: walk towards the solution of the equations of the positive entries until
    an entry gets to 0 and drops out; once none does, let in the one whose slack is most negative.
    """
    current, positive = start, start > 0
    for _ in range(int(PATIENCE * len(start))):
        target = _on_support(definite, offset, positive)
        falling = (positive & (target <= 0)).nonzero()[0]
        if falling.size:
            reach = current[falling] / (current[falling] - target[falling])
            current = np.maximum(current + reach.min() * (target - current), 0.0)
            dropped = falling[reach <= reach.min()]
            current[dropped], positive[dropped] = 0.0, False
            continue
        current = target
        slack = np.where(positive, 0.0, definite @ current + offset)
        if slack.min() >= -_allowed(current):
            return None if _wrong(definite, offset[None], current[None], positive[None]).any() else current
        positive[slack.argmin()] = True
    return None


def _balance(definite: Array, helpful: Array) -> Array | None:
    """Return ``w > 0`` with ``cosines @ w = 0``, if there is one: no direction helps then, every projection is 0.

    Args:
        definite: ``[T, T]`` cosines.
        helpful: ``[T]`` weights that probably help every gradient if any do; then there is nothing to look for.
    """
    tasks = len(definite)
    if (definite @ helpful).min() > TOLERANCE * tasks * helpful.max():
        return None
    units = _root(definite)
    if np.diagonal(units).min() ** 2 > INDEPENDENT * tasks:
        return None
    near = 1.0 + nonnegative_least_squares(units, -units.sum(axis=1))
    # What the ridge has kept from cancelling is taken out.
    weights = CANCELLED * np.linalg.solve(definite + CANCELLED * np.eye(tasks), near)
    rest, largest = np.abs(definite @ weights).max(), weights.max()
    balanced = weights.min() > 0 and largest <= LONGEST and rest <= TOLERANCE * tasks * largest
    return np.asarray(weights, dtype=np.float64) if balanced else None


def _root(definite: Array) -> Array:
    """Return ``A [T, T]`` with ``A.T @ A`` equal to ``definite``."""
    return np.asarray(np.linalg.cholesky(definite).T, dtype=np.float64)
