"""The best mixture of gradients under conditions on the progress of each."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linprog

from accord.errors import AccordError
from accord.pareto.points import Array

# HiGHS's words for no solution, and for one that rounding hides.
INFEASIBLE, UNDECIDED = 2, 4


def best_mixture(gain: Array, conditions: Array, bounds: Array) -> Array | None:
    """Return ``w`` on the simplex ``[n]`` with the largest ``gain @ w`` for which ``conditions @ w >= bounds``.

    A vertex, from HiGHS's dual simplex; ``None`` if no ``w`` will do, or rounding leaves that open (seen with 64
    gradients over 12 decades). Every row is first brought to a largest entry of 1, so that its unit plays no part in
    the solver's tolerance of 1e-7.

    Args:
        gain: ``[n]``.
        conditions: ``[c, n]``; rows of zeros are left out.
        bounds: ``[c]``; infinite ones are left out.

    Raises:
        AccordError: the solver stopped for another reason, which finite input has never been seen to cause.
    """
    return _solve(gain / (np.abs(gain).max() or 1.0), *_scaled(conditions, bounds), free=0)


def best_worst(rates: Array, conditions: Array, bounds: Array) -> Array | None:
    """Return ``w`` on the simplex ``[n]`` with the largest ``min(rates @ w)`` for which ``conditions @ w >= bounds``.

    Args:
        rates: ``[r, n]``, in one unit.
        conditions: ``[c, n]``, as in :func:`best_mixture`, and so is the rest.
        bounds: ``[c]``.
    """
    rows, limits = _scaled(conditions, bounds)
    # One more variable, the smallest rate, which may be of either sign.
    worst = np.column_stack([rates / (np.abs(rates).max() or 1.0), -np.ones(len(rates))])
    others = np.column_stack([rows, np.zeros(len(rows))])
    gain = np.append(np.zeros(rates.shape[1]), 1.0)
    return _solve(gain, np.vstack([worst, others]), np.append(np.zeros(len(rates)), limits), free=1)


def _scaled(conditions: Array, bounds: Array) -> tuple[Array, Array]:
    sizes = np.abs(conditions).max(axis=1, initial=0.0)
    kept = (sizes > 0) & np.isfinite(bounds)
    return conditions[kept] / sizes[kept, None], bounds[kept] / sizes[kept]


def _solve(gain: Array, rows: Array, limits: Array, free: int) -> Array | None:
    count = len(gain) - free
    found = linprog(
        -gain,
        A_ub=-rows,
        b_ub=-limits,
        A_eq=np.append(np.ones(count), np.zeros(free))[None],
        b_eq=[1.0],
        bounds=[(0, None)] * count + [(None, None)] * free,
        method="highs-ds",
    )
    if found.status in (INFEASIBLE, UNDECIDED):
        return None
    if found.status != 0:
        raise AccordError(f"a linear programme of {count} weights was not solved: {found.message}")
    weights = np.maximum(found.x[:count], 0.0)
    return weights / weights.sum()
