"""All subsets of a few tasks as bit masks, and what each gains at best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accord.grouping.partition import Array, Budget

Masks = np.ndarray


@dataclass(frozen=True)
class Option:
    """One way to serve a set of tasks: train ``group``, a superset, for ``cost``, and gain ``value`` in all."""

    value: float
    cost: float
    group: int


def submasks(mask: int) -> Masks:
    """Return all subsets of ``mask``, itself and the empty one included, ascending."""
    found = np.zeros(1, np.int64)
    for bit in range(mask.bit_length()):
        if mask >> bit & 1:
            found = np.concatenate([found, found | 1 << bit])
    return found


def members(masks: Masks, tasks: int) -> np.ndarray:
    """Return ``[len(masks), tasks]`` bool: who is in each."""
    return (masks[:, None] >> np.arange(tasks) & 1).astype(bool)


def gains_by_mask(helps: Array) -> Array:
    """Return ``[2^T, T]``: what each task gains in each group, -inf where it is not in it."""
    tasks = len(helps)
    inside = members(np.arange(1 << tasks), tasks)
    gains = inside.astype(np.float64) @ helps / np.maximum(inside.sum(1) - 1, 1)[:, None]
    return np.where(inside, gains, -np.inf)


def options(helps: Array, budget: Budget, *, overlap: bool) -> list[list[Option]]:
    """Return by mask the ways to serve exactly these tasks with one group, each dearer one gaining more.

    Cost: 3^T sums where groups may hold more tasks than they serve (``overlap``), else 2^T.
    """
    tasks = len(helps)
    gains, full = gains_by_mask(helps), (1 << tasks) - 1
    found: list[list[Option]] = [[]]
    for mask in range(1, full + 1):
        groups = mask | submasks(full & ~mask) if overlap else np.array([mask])
        inside = np.flatnonzero(members(np.array([mask]), tasks)[0])
        values, sizes = gains[np.ix_(groups, inside)].sum(1), members(groups, tasks).sum(1)
        kept: list[Option] = []
        for size in np.unique(sizes):
            place = np.flatnonzero(sizes == size)
            best = int(place[np.argmax(values[place])])
            if not kept or values[best] > kept[-1].value + 1e-12:
                kept.append(Option(float(values[best]), budget.cost(int(size)), int(groups[best])))
        found.append(kept)
    return found
