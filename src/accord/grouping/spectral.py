"""Groups that cut few strong ties."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from accord.grouping.agglomerative import best_of
from accord.grouping.partition import Array, Budget, Partition, Partitioner
from accord.method import Method


class Spectral(Partitioner):
    """Normalised spectral clustering of mutual affinity at every number of groups the budget allows, then local search.

    Weights are ``W_ij = (A_ij + A_ji) / 2`` less their minimum. The first k eigenvectors of the normalised Laplacian,
    rows scaled to length 1, are clustered by k-means (five starts); moving and swapping single tasks until the sum of
    predicted gains is no longer raised repairs the rest. Groups do not overlap. For any number of tasks.

    Cost: O(T^3).

    Args:
        seed: of the starts of k-means.

    Source: Ng, Jordan and Weiss, On Spectral Clustering: Analysis and an Algorithm, 2001.
    """

    method: ClassVar[Method] = Method(
        title="Spectral clustering",
        paper="On Spectral Clustering: Analysis and an Algorithm",
        year=2001,
        url="https://papers.nips.cc/paper/2092-on-spectral-clustering-analysis-and-an-algorithm",
        needs="nothing",
        cost="O(T^3)",
    )

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def check(self, tasks: int) -> None:
        """Any number will do."""

    def divide(self, helps: Array, budget: Budget) -> Partition:
        rng = np.random.default_rng(self.seed)
        vectors = _eigenvectors(helps)
        starts = [(np.zeros(len(helps), np.int64), 1)]
        for count in range(2, budget.most_groups(len(helps)) + 1):
            rows = vectors[:, :count]
            lengths = np.linalg.norm(rows, axis=1, keepdims=True)
            points = rows / np.where(lengths > 0, lengths, 1.0)
            starts += [(k_means(points, count, rng), count) for _ in range(5)]
        return best_of(helps, starts)


def _eigenvectors(helps: Array) -> Array:
    """Return the eigenvectors of the normalised Laplacian, smallest eigenvalue first, as columns."""
    mutual = (helps + helps.T) / 2
    weights = mutual - mutual.min()
    np.fill_diagonal(weights, 0.0)
    degrees = weights.sum(0)
    scale = np.where(degrees > 0, 1 / np.sqrt(np.where(degrees > 0, degrees, 1.0)), 0.0)
    _, vectors = np.linalg.eigh(np.eye(len(helps)) - scale[:, None] * weights * scale[None, :])
    return vectors


def k_means(points: Array, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return the cluster of each point ``[N]`` by Lloyd's algorithm from k-means++ centres; clusters may be empty."""
    centres = points[rng.integers(len(points))][None]
    while len(centres) < count:
        nearest = ((points[:, None] - centres[None]) ** 2).sum(2).min(1)
        total = nearest.sum()
        chosen = rng.choice(len(points), p=nearest / total) if total > 0 else rng.integers(len(points))
        centres = np.concatenate([centres, points[chosen][None]])
    labels = np.full(len(points), -1)
    while True:
        fresh = ((points[:, None] - centres[None]) ** 2).sum(2).argmin(1)
        if (fresh == labels).all():
            return labels
        labels = fresh
        for g in np.unique(labels):
            centres[g] = points[labels == g].mean(0)
