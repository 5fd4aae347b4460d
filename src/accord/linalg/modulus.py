"""A first guess at many complementarity problems that share one matrix: a fixed point of absolute values."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from accord.linalg.gram import Array
from accord.linalg.lapack import lapack

Single = NDArray[np.float32]

# Share of the step that a fixed point iteration takes past its damped form; 2 is the plain one, which need not settle
# on singular matrices.
RELAXATION = 1.8
# Steps between looks at the supports, looks between changes of the weight, and looks at most.
STEPS = 4
ROUNDS = 3
LOOKS = 40
# Range of the weight, and the change of it that pays for a new inverse.
RANGE = (1e-3, 10.0)
CHANGE = 2.0
# What it costs to solve one problem or to take one step whatever their size, in operations of a solve; and what those
# of a product of single precision matrices cost.
SOLVE, STEP, PRODUCT = 3e5, 7e4, 0.2


def likely_multipliers(cosines: Array, offsets: Array) -> Array:
    """Return near solutions ``s >= 0`` ``[m, T]`` of ``y = cosines @ s + offset >= 0``, ``s * y = 0``, one per row.

    With ``v = s - y / rho`` both signs and the product are right whatever ``v`` is, and the equation becomes
    ``(rho + cosines) v = (rho - cosines) |v| - 2 offset``: a fixed point, whose iteration is one product with a matrix
    that all problems share. It contracts fastest at a weight ``rho`` between the smallest and the largest
    eigenvalue that matter; that at which the two parts of ``v`` are of one length proves to be near it, also where
    gradients are dependent or opposed. In single precision, for signs are what is asked for.

    Args:
        cosines: ``[T, T]`` positive semi-definite.
        offsets: ``[m, T]``, with entries of order 1.

    Returns:
        ``[m, T]``. About 30 steps of O(m T^2), 160 at most, until changes of the supports cost less than more steps.

    Source: van Bokhoven, Piecewise-linear modelling and analysis, 1981; Bai, Modulus-based matrix splitting iteration
    methods for linear complementarity problems, 2010. With its relaxation it is Douglas and Rachford's splitting.
    """
    shift = offsets.astype(np.float32)
    state = np.maximum(-shift, 0.0)
    weight, positive = 1.0, state > 0
    if not positive.any():
        return state.astype(np.float64)
    matrix, constant = _fixed_point(cosines, shift, weight)
    for look in range(1, LOOKS + 1):
        for _ in range(STEPS):
            following = np.abs(state) @ matrix
            following -= constant
            state *= np.float32(1.0 - RELAXATION / 2.0)
            state += following
        positive, before = state > 0, positive
        if _settled(positive, before):
            break
        if look % ROUNDS == 0:
            better = _balanced(state, positive, weight)
            if not weight / CHANGE < better < weight * CHANGE:
                state = np.where(positive, state, state * np.float32(weight / better))
                weight = better
                matrix, constant = _fixed_point(cosines, shift, weight)
    return np.maximum(state, 0.0).astype(np.float64)


def _fixed_point(cosines: Array, shift: Single, weight: float) -> tuple[Single, Single]:
    """Return matrix ``[T, T]`` and constant ``[m, T]`` of what a relaxed step makes of ``|v|``."""
    factor, inverse = lapack("potrf"), lapack("potri")
    half = inverse(factor(cosines + weight * np.eye(len(cosines)), lower=1)[0], lower=1)[0]
    half.flat[:: len(cosines) + 1] /= 2.0
    whole = RELAXATION * (half + half.T)
    constant = shift @ whole.astype(np.float32)
    whole *= weight
    whole.flat[:: len(cosines) + 1] -= RELAXATION / 2.0
    return whole.astype(np.float32), constant


def _balanced(state: Single, positive: NDArray[np.bool_], weight: float) -> float:
    """Return the weight at which the two parts of the state would have one length."""
    length = float(np.linalg.norm(state[positive]))
    slack = weight * float(np.linalg.norm(state[~positive]))
    return min(max(slack, RANGE[0] * length), RANGE[1] * length) / length if length > 0 else weight


def _settled(positive: NDArray[np.bool_], before: NDArray[np.bool_]) -> bool:
    """Whether solving the problems whose support still changes costs less than the steps until the next look."""
    problems, tasks = positive.shape
    changed = np.count_nonzero((positive != before).any(axis=1))
    size = np.count_nonzero(positive) / problems
    return changed * (size**3 / 3.0 + SOLVE) <= STEPS * (PRODUCT * 2.0 * problems * tasks**2 + STEP)
