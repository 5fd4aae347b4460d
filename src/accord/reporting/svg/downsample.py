"""Long series as what can be seen of them."""

from __future__ import annotations

import numpy as np


def envelope(xs: np.ndarray, ys: np.ndarray, buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """Keep the first and last point and, of each of ``buckets`` equal stretches of x, its lowest and highest.

    Args:
        xs: ``[N]`` in ascending order.
        ys: ``[N]`` finite.
        buckets: at least 1.

    Returns:
        Points of the input in their order, at most ``2 * buckets + 2``; a short series comes back whole.
        Cost O(N log N).
    """
    if len(xs) <= 2 * buckets + 2 or xs[-1] <= xs[0]:
        return xs, ys
    bucket = np.minimum(((xs - xs[0]) / (xs[-1] - xs[0]) * buckets).astype(np.int64), buckets - 1)
    order = np.lexsort((ys, bucket))
    starts = np.flatnonzero(np.r_[True, np.diff(bucket[order]) > 0])
    ends = np.r_[starts[1:], len(xs)] - 1
    keep = np.unique(np.r_[0, order[starts], order[ends], len(xs) - 1])
    return xs[keep], ys[keep]


def windows(xs: np.ndarray, ys: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Return the mean of the finite ``ys`` in each window of x.

    Args:
        xs: ``[N]``.
        ys: ``[N]``, NaN allowed.
        edges: ``[W + 1]`` ascending; the last window includes its right edge.

    Returns:
        ``[W]``, NaN where a window is empty.
    """
    count = len(edges) - 1
    index = np.clip(np.searchsorted(edges, xs, side="right") - 1, 0, count - 1)
    known = np.isfinite(ys)
    total = np.bincount(index[known], weights=ys[known], minlength=count)
    number = np.bincount(index[known], minlength=count)
    return np.divide(total, number, out=np.full(count, np.nan), where=number > 0)
