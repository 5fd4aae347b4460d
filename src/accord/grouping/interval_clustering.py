"""Groups of neighbours, for tasks with a natural order, by dynamic programming."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from accord.errors import ConfigurationError
from accord.grouping.partition import Array, Budget, Partition, Partitioner, arrange
from accord.method import Method


class IntervalClustering(Partitioner):
    """The best groups of tasks that stand next to each other in their order (noise levels, horizons, ages).

    Minimises ``sum over intervals of sum_i cost(i, centre)``, where the centre of tasks l to r is ``(l + r) // 2``,
    over all divisions into k intervals, k as large as the budget allows. Without positions the cost is
    ``-A[i, centre]``, the affinity of a task to its centre (the paper's gradient-based cost, for cosines); with
    positions it is the square of their distance (timestep-based; logarithms of the signal-to-noise ratio as positions
    give the paper's third cost, but for squares).

    Cost: O(k T^2 + T^3) of sums.

    Args:
        positions: ``[T]`` finite numbers, one per task, that also give the order; without them the order of the tasks.

    Source: Go et al., Addressing Negative Transfer in Diffusion Models (ANT), 2023.
    """

    method: ClassVar[Method] = Method(
        title="ANT interval clustering",
        paper="Addressing Negative Transfer in Diffusion Models",
        year=2023,
        url="https://arxiv.org/abs/2306.00354",
        needs="nothing",
        cost="O(k T^2 + T^3)",
        catalogue=(265,),
    )

    def __init__(self, positions: Sequence[float] | None = None) -> None:
        if positions is not None and not np.isfinite(positions).all():
            raise ConfigurationError(f"positions must be finite, not {list(positions)}")
        self.positions = None if positions is None else np.array(positions, np.float64)

    def check(self, tasks: int) -> None:
        if self.positions is not None and len(self.positions) != tasks:
            raise ConfigurationError(f"there are {len(self.positions)} positions for {tasks} tasks")

    def divide(self, helps: Array, budget: Budget) -> Partition:
        tasks = len(helps)
        order = np.arange(tasks) if self.positions is None else np.argsort(self.positions, kind="stable")
        starts = intervals(self._costs(helps, order), budget.most_groups(tasks))
        ends = [*starts[1:], tasks]
        return arrange(helps, [order[a:b].tolist() for a, b in zip(starts, ends, strict=True)])

    def _costs(self, helps: Array, order: np.ndarray) -> Array:
        """Return the cost ``[T, T]`` of the interval from l to r, both included; infinite below the diagonal."""
        if self.positions is None:
            to = -helps[np.ix_(order, order)]
        else:
            placed = self.positions[order]
            to = (placed[:, None] - placed[None, :]) ** 2
        found = np.full(to.shape, np.inf)
        for left in range(len(to)):
            for right in range(left, len(to)):
                found[left, right] = to[left : right + 1, (left + right) // 2].sum()
        return found


def intervals(costs: Array, count: int) -> list[int]:
    """Return where each interval starts in the cheapest division of 0 to T - 1 into at most ``count`` intervals.

    Args:
        costs: ``[T, T]``, of the interval from l to r, both included.
        count: at least 1; of equally cheap divisions one with the fewest intervals is returned.
    """
    tasks = len(costs)
    best = np.full((count + 1, tasks + 1), np.inf)
    last = np.zeros((count + 1, tasks + 1), np.int64)
    best[0, 0] = 0.0
    for k in range(1, count + 1):
        for end in range(1, tasks + 1):
            whole = best[k - 1, :end] + costs[:end, end - 1]
            last[k, end] = int(np.argmin(whole))
            best[k, end] = whole[last[k, end]]
    k = int(np.argmin(np.round(best[1:, tasks], 12))) + 1
    starts: list[int] = []
    end = tasks
    while k:
        end = int(last[k, end])
        starts.insert(0, end)
        k -= 1
    return starts
