"""Nearest points of the permutahedron, the set of weights that a sorted spectrum allows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from accord.linalg.gram import Array

Merge = Callable[[Array | float, Array | float], Array]


def assign(scores: Array, spectrum: Array) -> Array:
    """Return the spectrum ``[n]`` handed out by rank: the largest score takes the largest entry, equals share.

    Args:
        scores: ``[n]``.
        spectrum: ``[n]``, ascending.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    return (_sums(spectrum, counts) / counts)[place]


def project(scores: Array, spectrum: Array) -> Array:
    """Return the point of the hull of all permutations of ``spectrum`` that is nearest to ``scores``, ``[n]``.

    By pool-adjacent-violators over the sorted scores: within a pool the answer is the scores, moved to the mean of the
    spectrum there. Equal scores are pooled beforehand, so that no size of theirs can round the spectrum away.
    """
    values, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    sums = _sums(spectrum, counts)
    pools = _pools(counts * values - sums, counts.astype(float), np.add, np.divide)
    totals = [np.bincount(pools, part) for part in (counts * values, sums, counts)]
    value, share = totals[0] / totals[2], totals[1] / totals[2]
    return np.maximum(share[pools] + (values - value[pools]), 0.0)[place]


def project_entropy(scores: Array, spectrum: Array) -> Array:
    """Return the point ``q`` of that hull at which ``q @ scores - sum(q log q)`` is largest, ``[n]``.

    Within a pool it is the softmax of the scores times the sum of the spectrum there. O(n) after sorting.
    """
    values, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    sums = _sums(spectrum, counts)
    with np.errstate(divide="ignore"):
        pools = _pools(values + np.log(counts), np.log(sums), np.logaddexp, np.subtract)
    top = np.full(pools[-1] + 1, -np.inf)
    np.maximum.at(top, pools, values)
    weights = np.exp(values - top[pools])
    return (weights * (np.bincount(pools, sums) / np.bincount(pools, counts * weights))[pools])[place]


def _sums(spectrum: Array, counts: np.ndarray) -> Array:
    """Return the sums of ``spectrum`` over successive runs of ``counts`` entries."""
    return np.add.reduceat(spectrum, np.concatenate([[0], np.cumsum(counts)[:-1]]))


def _pools(upper: Array, lower: Array, merge: Merge, ratio: Merge) -> np.ndarray:
    """Return the number of the pool that each entry falls into, so that ``ratio(upper, lower)`` of pools increases."""
    stack: list[tuple[float, float, int]] = []
    for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True):
        size = 1
        while stack and ratio(stack[-1][0], stack[-1][1]) >= ratio(top, bottom):
            before = stack.pop()
            top, bottom, size = float(merge(before[0], top)), float(merge(before[1], bottom)), before[2] + size
        stack.append((top, bottom, size))
    return np.repeat(np.arange(len(stack)), [size for _, _, size in stack])
