"""The shortest vector that makes given progress along each of several directions."""

from __future__ import annotations

import numpy as np

from accord.linalg.gram import Array, spectrum
from accord.linalg.nonnegative import nonnegative_least_squares

# A squared residual below this means that no vector shorter than a million times the progress asked for will do.
INFEASIBLE = 1e-12


def least_distance(cosines: Array, progress: Array, rounding: float) -> Array | None:
    """Return ``s >= 0`` ``[n]`` for which ``x = sum_j s_j u_j`` is the shortest ``x`` with ``<u_j, x> >= progress_j``.

    ``None`` where there is no such ``x``, as with opposed directions that are both to make progress. It is the least
    distance programme of Lawson and Hanson (Solving Least Squares Problems, 1974), which reduces to one problem of
    non-negative least squares whose residual tells whether there is a solution.

    Args:
        cosines: ``[n, n]`` inner products of the unit vectors ``u_j``; a zero row for a direction that does not exist.
        progress: ``[n]``, of either sign; entries of missing directions must be 0 or less.
        rounding: relative rounding of the entries of ``cosines``.
    """
    largest = float(progress.max(initial=0.0))
    if largest <= 0:
        return np.zeros_like(progress)
    wanted = progress / largest
    target = np.zeros(len(cosines) + 1)
    target[-1] = 1.0
    values, vectors = spectrum(cosines)
    # Rounding would be a dimension of its own, in which directions that exclude each other agree.
    values[values <= len(values) * rounding * values[-1]] = 0.0
    units = np.sqrt(values)[:, None] * vectors.T
    found = nonnegative_least_squares(np.vstack([units, wanted]), target)
    rest = 1.0 - float(wanted @ found)
    return found * (largest / rest) if rest > max(INFEASIBLE, len(cosines) * rounding) else None
