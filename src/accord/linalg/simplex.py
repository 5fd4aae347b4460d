"""Weights that are shares: non-negative, summing to 1."""

from __future__ import annotations

import numpy as np

from accord.linalg.gram import Array


def nearest_on_simplex(point: Array) -> Array:
    """Return the point ``[n]`` of the simplex that is nearest to ``point`` ``[n]``, by sorting; cost O(n log n).

    It is ``max(point - t, 0)`` for the one ``t`` under which that sums to 1 (Held, Wolfe and Crowder, 1974).
    """
    centred = point - point.max()  # shifts do not matter, and small differences keep their digits
    falling = np.sort(centred)[::-1]
    levels = (np.cumsum(falling) - 1.0) / np.arange(1, len(point) + 1)
    shares = np.maximum(centred - levels[np.nonzero(falling > levels)[0][-1]], 0.0)
    return shares / shares.sum()
