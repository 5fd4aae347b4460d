"""Groups that grow together pair by pair; what is left wrong is repaired by moving single tasks."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from accord.grouping.local_search import improve, objective
from accord.grouping.partition import Array, Budget, Partition, Partitioner, arrange
from accord.method import Method

RESTARTS = 5


class Agglomerative(Partitioner):
    """Average linkage on mutual affinity, cut at every number of groups the budget allows, then local search.

    Two groups are joined while they have the highest mean of ``(A_ij + A_ji) / 2`` over their pairs. Each cut is then
    improved by moving and swapping single tasks until no such step raises the sum of predicted gains, and the best of
    all cuts is taken. Groups do not overlap. For any number of tasks, without a guarantee.

    Cost: O(T^2 log T) for the tree, O(T^2) per step of the search.

    Source: average linkage is Sokal and Michener, A Statistical Method for Evaluating Systematic Relationships, 1958;
    the objective is that of Fifty et al., 2021.
    """

    method: ClassVar[Method] = Method(
        title="Agglomerative clustering",
        paper="A Statistical Method for Evaluating Systematic Relationships",
        year=1958,
        url="https://archive.org/details/cbarchive_33927_astatisticalmethodforevaluatin1902",
        needs="nothing",
        cost="O(T^3)",
    )

    def check(self, tasks: int) -> None:
        """Any number will do."""

    def divide(self, helps: Array, budget: Budget) -> Partition:
        tasks = len(helps)
        most = budget.most_groups(tasks)
        starts = [(cut(linkage(helps), tasks, count), count) for count in range(1, most + 1)]
        return best_of(helps, starts)


def linkage(helps: Array) -> np.ndarray:
    """Return the joins ``[T - 1, 4]`` in SciPy's format: two groups, their distance, the size of both.

    Distance is the highest mutual affinity of any pair less the mean one between the groups, so 0 or more.
    """
    from scipy.cluster.hierarchy import linkage as average
    from scipy.spatial.distance import squareform

    if len(helps) < 2:
        return np.zeros((0, 4))
    mutual = (helps + helps.T) / 2
    others = ~np.eye(len(helps), dtype=bool)
    distance = np.where(others, mutual[others].max() - mutual, 0.0)
    return average(squareform(distance, checks=False), "average")


def cut(joins: np.ndarray, tasks: int, count: int) -> np.ndarray:
    """Return the group of each task ``[T]`` when ``count`` groups are left."""
    from scipy.cluster.hierarchy import cut_tree

    return np.zeros(tasks, np.int64) if tasks < 2 else cut_tree(joins, count).ravel()


def best_of(helps: Array, starts: list[tuple[np.ndarray, int]]) -> Partition:
    """Return the best of ``(labels, number of groups)`` after local search; the fewest groups of equals.

    The search also starts from :data:`RESTARTS` random labels per number of groups: one start ends in a poor place
    where affinities have little structure.
    """
    rng = np.random.default_rng(0)
    counts = sorted({count for _, count in starts})
    starts = [*starts, *((rng.integers(0, count, len(helps)), count) for count in counts for _ in range(RESTARTS))]
    improved = [(improve(helps, labels, count), count) for labels, count in starts]
    values = [objective(helps, labels, count) for labels, count in improved]
    best = max(range(len(values)), key=lambda i: (round(values[i], 12), -i))
    labels, count = improved[best]
    return arrange(helps, [np.flatnonzero(labels == g).tolist() for g in range(count)])
