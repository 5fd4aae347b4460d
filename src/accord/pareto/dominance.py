"""Who dominates whom. All objectives are minimised."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from accord.pareto.points import Array, Points, like, read_points

# Rows compared at a time: a block of comparisons stays within some tens of megabytes.
CELLS = 2**22


def non_dominated(points: Points) -> Tensor:
    """Return which points ``[n]`` no other point dominates: none is at most as large everywhere and smaller somewhere.

    Equal points do not dominate each other, so all copies of one are kept. Cost O(n^2 m) at most, O(n log n) for two
    objectives.

    Args:
        points: ``[n, m]``, finite, to be minimised.

    Raises:
        DataError: ``points`` are not ``[n, m]`` or not finite.
    """
    return like(_ranks(read_points(points), deepest=1) == 0, points)


def ranks(points: Points) -> Tensor:
    """Return the front ``[n]`` (int64) that each point is on: 0 if non-dominated, 1 if only by those, and so on.

    Cost O(n^2 m) per front.

    Raises:
        DataError: ``points`` are not ``[n, m]`` or not finite.
    """
    return like(_ranks(read_points(points), deepest=None), points)


def crowding(points: Points) -> Tensor:
    """Return the crowding distance ``[n]`` within one front (Deb et al., NSGA-II, 2002).

    The sum over objectives of the gap between a point's two neighbours in units of the objective's range; infinite at
    both ends of an objective. An objective on which all points agree adds nothing.

    Raises:
        DataError: ``points`` are not ``[n, m]`` or not finite.
    """
    array = read_points(points)
    distance = np.zeros(len(array))
    for values in array.T:
        span = np.ptp(values)
        if span == 0:
            continue
        order = np.argsort(values, kind="stable")
        distance[order[[0, -1]]] = np.inf
        distance[order[1:-1]] += (values[order[2:]] - values[order[:-2]]) / span
    return like(distance, points)


def _ranks(array: Array, deepest: int | None) -> np.ndarray:
    found = np.full(len(array), -1, dtype=np.int64)
    left, rank = np.arange(len(array)), 0
    while left.size and (deepest is None or rank < deepest):
        best = _best_two(array[left]) if array.shape[1] == 2 else _best(array[left])
        found[left[best]] = rank
        left, rank = left[~best], rank + 1
    return found


def _best_two(array: Array) -> np.ndarray:
    """Return the non-dominated of two objectives: a sweep by the first, then by the second."""
    order = np.lexsort((array[:, 1], array[:, 0]))
    first, second = array[order].T
    least = np.minimum.accumulate(second)
    before = np.concatenate([[np.inf], least[:-1]])
    # Of several with one first objective only the lowest can stay, and its copies.
    starts = np.searchsorted(first, first, side="left")
    best = np.zeros(len(array), dtype=bool)
    best[order] = (second < before[starts]) & (second == second[starts])
    return best


def _best(array: Array) -> np.ndarray:
    best = np.ones(len(array), dtype=bool)
    step = max(1, CELLS // max(1, array.size))
    for start in range(0, len(array), step):
        block = array[start : start + step, None]
        dominated = (array <= block).all(axis=2) & (array < block).any(axis=2)
        best[start : start + step] = np.logical_not(np.logical_or.reduce(dominated, axis=1))
    return best
