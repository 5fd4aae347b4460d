"""Disjoint groups made better by moving and swapping single tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accord.grouping.partition import Array

TOLERANCE = 1e-12


def improve(helps: Array, labels: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    """Return ``labels [T]`` after steepest ascent of the sum of gains; no single move or swap makes them better.

    Args:
        helps: ``[T, T]`` with a diagonal of 0.
        labels: the group of each task, 0 to ``count`` - 1; groups may become empty, or be empty and be filled.
        count: number of groups.

    Cost: O(T^2 + T count) per step, each of which gains more than 1e-12.
    """
    found = np.array(labels)
    while True:
        here, change = _best_move(helps, found, count)
        swap, swapped = _best_swap(helps, found, count)
        if max(change, swapped) <= TOLERANCE:
            return found
        if change >= swapped:
            found[here[0]] = here[1]
        else:
            found[list(swap)] = found[list(swap[::-1])]


def objective(helps: Array, labels: Sequence[int] | np.ndarray, count: int) -> float:
    """Return the sum over tasks of what they gain in their groups."""
    inside = np.asarray(labels)[:, None] == np.arange(count)
    return float(_values(*_sums(helps, inside)).sum())


def _sums(helps: Array, inside: np.ndarray) -> tuple[Array, Array]:
    """Return per group the sum of affinities within it, and its size."""
    member = inside.astype(np.float64)
    return np.einsum("tg,tu,ug->g", member, helps, member), member.sum(0)


def _values(sums: Array, sizes: Array) -> Array:
    return np.where(sizes > 1, sums / np.maximum(sizes - 1, 1), 0.0)


def _best_move(helps: Array, labels: np.ndarray, count: int) -> tuple[tuple[int, int], float]:
    inside = labels[:, None] == np.arange(count)
    sums, sizes = _sums(helps, inside)
    values = _values(sums, sizes)
    ties = (helps + helps.T) @ inside  # [T, groups]: what a task has to do with each group, both ways
    own = ties[np.arange(len(labels)), labels]
    leaving = _values(sums[labels] - own, sizes[labels] - 1) - values[labels]
    joining = _values(sums + ties, sizes + 1) - values
    change = leaving[:, None] + joining
    change[np.arange(len(labels)), labels] = -np.inf
    best = int(np.argmax(change))
    place = (best // count, best % count)
    return place, float(change[place])


def _best_swap(helps: Array, labels: np.ndarray, count: int) -> tuple[tuple[int, int], float]:
    inside = labels[:, None] == np.arange(count)
    _, sizes = _sums(helps, inside)
    both = helps + helps.T
    ties = both @ inside
    share = 1 / np.maximum(sizes - 1, 1)
    own = ties[np.arange(len(labels)), labels]
    # a leaves its group for b's: the group of a loses a's ties, wins those of b, which are not with a.
    crossing = ties[:, labels]  # [a, b]: ties of a with b's group
    change = share[labels][:, None] * (crossing.T - own[:, None] - both)
    change = change + change.T
    change[labels[:, None] == labels[None, :]] = -np.inf
    best = int(np.argmax(change))
    place = (best // len(labels), best % len(labels))
    return place, float(change[place])
