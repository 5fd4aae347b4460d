"""The shortest vector in the convex hull of the gradients: the question behind MGDA."""

from __future__ import annotations

import numpy as np

from accord.linalg.gram import Array, normalise, root
from accord.linalg.nonnegative import nonnegative_least_squares


def min_norm_weights(gramian: Array) -> Array:
    """Return weights ``[T]`` on the simplex that minimise ``w @ gramian @ w``, exactly, at any relative scale.

    Args:
        gramian: ``[T, T]`` inner products of the gradients, finite.

    Returns:
        One minimiser (a vertex of the set of minimisers where there are several). Zero gradients share all the weight.
    """
    cosines, norms = normalise(gramian)
    return min_norm_of_columns(root(cosines), norms)


def min_norm_of_columns(units: Array, norms: Array) -> Array:
    """Return weights ``[T]`` on the simplex that minimise ``|units @ (norms * w)|``.

    For any fixed ray ``y = t w`` the objective ``|A y|^2 + (sum(y) - 1)^2`` is least at ``|A w|^2 / (1 + |A w|^2)``,
    which grows with ``|A w|``: so the minimiser over ``y >= 0``, normalised, is the answer, and the sum constraint
    costs one more row. Lengths are in units of the shortest gradient, which bounds the answer.

    Args:
        units: ``[d, T]``, columns of norm 1 (0 for a zero gradient).
        norms: ``[T]`` lengths of the columns they stand for.
    """
    if not norms.all():
        return (norms == 0) / np.count_nonzero(norms == 0)
    shrink = norms.min() / norms
    target = np.zeros(len(units) + 1)
    target[-1] = 1.0
    weights = nonnegative_least_squares(np.vstack([units, shrink]), target) * shrink
    return weights / weights.sum()
