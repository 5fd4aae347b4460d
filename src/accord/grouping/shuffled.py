"""The same groups with other tasks in them: what chance alone would do for the same compute."""

from __future__ import annotations

import numpy as np

from accord.grouping.partition import Array, Partition, gains_in


def shuffled(partition: Partition, helps: Array, seed: int) -> Partition:
    """Return ``partition`` with its tasks drawn anew: as many groups of the same sizes, serving as many tasks.

    Args:
        partition: what is copied.
        helps: ``[T, T]`` centred affinities, for the predicted gains.
        seed: of the draw.
    """
    place = np.random.default_rng(seed).permutation(len(partition.server))
    groups = [sorted(int(place[t]) for t in group) for group in partition.groups]
    order = sorted(range(len(groups)), key=lambda g: groups[g])
    renumbered = {old: new for new, old in enumerate(order)}
    server = np.empty(len(place), np.int64)
    for task, old in enumerate(partition.server):
        server[place[task]] = renumbered[old]
    ordered = tuple(tuple(groups[g]) for g in order)
    gains = [gains_in(helps, ordered[g])[ordered[g].index(t)] for t, g in enumerate(server.tolist())]
    return Partition(ordered, tuple(server.tolist()), tuple(float(gain) for gain in gains))
