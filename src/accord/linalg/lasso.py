"""Least squares with a price on every coefficient's size, for many targets at once."""

from __future__ import annotations

import numpy as np

from accord.errors import RunError
from accord.linalg.gram import Array


def lasso(
    gram: Array, onto: Array, squares: Array, penalty: float, *, tolerance: float = 1e-6, sweeps: int = 20_000
) -> Array:
    """Minimise ``1/2 |y - X w|^2 + penalty |w|_1`` for each target ``y``, from inner products alone.

    Coordinate descent, all targets together, until what is left to gain is proven small: the duality gap.

    Cost: per sweep a product of n numbers for each coefficient that moves; memory as much as ``onto`` takes.

    Args:
        gram: ``X' X`` ``[n, n]``.
        onto: ``X' y`` of each target, ``[n, t]``.
        squares: ``|y|^2`` of each, ``[t]``.
        penalty: above 0, in the unit of ``onto``; where it is as large as the largest of ``|onto|``, nothing is left.
        tolerance: on the duality gap, relative to the largest of ``squares``.
        sweeps: at most.

    Returns:
        Coefficients ``[n, t]``, most of them exactly 0.

    Raises:
        RunError: the gap is still too large after all sweeps.
    """
    weights, slopes = np.zeros_like(onto), onto.copy()
    allowed = tolerance * max(float(squares.max(initial=0.0)), np.finfo(float).tiny)
    gap = np.inf
    for _ in range(sweeps):
        sweep(gram, weights, slopes, penalty)
        gap = _gaps(weights, slopes, onto, squares, penalty).max(initial=0.0)
        if gap <= allowed:
            return weights
    raise RunError(
        f"the sparse coefficients did not settle in {sweeps} sweeps (left to gain: {gap:.1e}); a larger penalty than "
        f"{penalty:g} settles sooner"
    )


def sweep(gram: Array, weights: Array, slopes: Array, penalty: float) -> float:
    """Move each coefficient of :func:`lasso` in turn to where it is best, in place; return the largest change.

    Args:
        gram: ``X' X`` ``[n, n]``.
        weights: coefficients ``[n, t]``.
        slopes: ``X' (y - X w)`` ``[n, t]``, kept up to date.
        penalty: 0 or more.
    """
    sizes, largest = np.diagonal(gram), 0.0
    for row in np.flatnonzero(sizes > 0):
        wanted = slopes[row] + sizes[row] * weights[row]
        fresh = np.sign(wanted) * np.maximum(np.abs(wanted) - penalty, 0.0) / sizes[row]
        change = fresh - weights[row]
        moved = np.flatnonzero(change)
        if len(moved):
            slopes[:, moved] -= np.outer(gram[:, row], change[moved])
            weights[row] = fresh
            largest = max(largest, float(np.abs(change).max()))
    return largest


def _gaps(weights: Array, slopes: Array, onto: Array, squares: Array, penalty: float) -> Array:
    """Return, for each target, a bound on how far its objective is above the least."""
    fitted = (weights * onto).sum(0)
    error = squares - fitted - (weights * slopes).sum(0)
    steepest = np.abs(slopes).max(0, initial=0.0)
    # The residual, scaled so that no slope exceeds the penalty, is feasible in the dual problem.
    limit = np.divide(penalty, steepest, out=np.full_like(steepest, np.inf), where=steepest > 0)
    best = np.divide(squares - fitted, error, out=np.zeros_like(error), where=error > 0)
    scale = np.clip(best, -limit, limit)
    lower = scale * (squares - fitted) - scale**2 * np.maximum(error, 0.0) / 2
    return np.maximum(error / 2 + penalty * np.abs(weights).sum(0) - lower, 0.0)
