"""Least squares over non-negative variables, the kernel of the simplex and cone problems."""

from __future__ import annotations

import numpy as np

from accord.linalg.gram import Array


def nonnegative_least_squares(matrix: Array, target: Array) -> Array:
    """Return ``x >= 0`` ``[n]`` that minimises ``|matrix @ x - target|``, for columns of any scale.

    Lawson and Hanson's active set method (Solving Least Squares Problems, 1974), which ends at an exact vertex and not
    near one. Columns are brought to unit norm first, for its tests compare with one tolerance; a zero column gets 0.

    Args:
        matrix: ``[m, n]``.
        target: ``[m]``.
    """
    norms = np.linalg.norm(matrix, axis=0)
    used = norms > 0
    solution = np.zeros(matrix.shape[1])
    if used.any():
        from scipy.optimize import nnls  # half a second that runs without a solver should not pay

        # Each variable enters and leaves a few times at most, except where columns nearly coincide.
        solution[used] = nnls(matrix[:, used] / norms[used], target, maxiter=30 * len(norms) + 100)[0] / norms[used]
    return solution
