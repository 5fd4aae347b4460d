"""Groups of units in two networks that say the same together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.linalg.gram import Array
from accord.merging.permuting.activation_matching import by_group, correlations
from accord.method import Method


@dataclass(frozen=True, eq=False)
class UnitClusters:
    """Units of two networks in common clusters, the most closely tied first.

    Attributes:
        first: ``[n]`` int64, the cluster of each unit of the first network; -1 for one that never varies.
        second: ``[m]``, the same of the second.
        strength: ``[clusters]`` float64: the mean absolute correlation between the two networks' units of a cluster; 0
            where it has units of one network only.
    """

    first: Tensor
    second: Tensor
    strength: Tensor

    def members(self, cluster: int) -> tuple[list[int], list[int]]:
        """Return the units of a cluster, in the first and in the second network."""
        one, other = ((labels == cluster).nonzero().flatten().tolist() for labels in (self.first, self.second))
        return one, other


class SpectralMatching:
    """Cluster the units of two networks together: the many-to-many mapping.

    Units are the two sides of a graph, and the absolute correlation between a unit here and one there is the weight of
    their edge. Its normalised Laplacian is cut by its first eigenvectors, which are the leading singular vectors of
    ``D_1^(-1/2) |C| D_2^(-1/2)``; rows of length 1 are joined from the nearest pair upwards until ``clusters`` are left
    (Ward). Nothing is drawn. A cluster of one unit on each side is a feature that both have learned; one of several on
    each side a space that both span with other axes.

    Cost: one product of ``[units, samples]`` with ``[samples, units]``, then ``O((n + m)^3)`` at most.

    Args:
        clusters: how many, from 1 to the units of the smaller side.

    Correlations of units within one network tell nothing about the other and are left out, so that this is the
    normalised cut of a bipartite graph (Dhillon, Co-clustering documents and words using bipartite spectral graph
    partitioning, 2001). Signs do not count: a unit and its opposite lie in one space.

    Source: Li et al., Convergent Learning: Do different neural networks learn the same representations?, 2016.
    """

    method: ClassVar[Method] = Method(
        title="Spectral clustering of units",
        paper="Convergent Learning: Do different neural networks learn the same representations?",
        year=2016,
        url="https://arxiv.org/abs/1511.07543",
        needs="data",
        cost="1 product and 1 decomposition per layer",
        catalogue=(370,),
    )

    def __init__(self, clusters: int) -> None:
        if clusters < 1:
            raise ConfigurationError(f"clusters is 1 or more; got {clusters}")
        self.clusters = clusters

    def __call__(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, UnitClusters]:
        """Return the clusters of each group.

        Args:
            first: activations of one network, ``[samples, n]``, by group.
            second: those of the other for the same inputs, ``[samples, m]``; see :func:`unit_activations`.

        Raises:
            ConfigurationError: a group has fewer units that vary than there shall be clusters.
            DataError: a group is missing, or there are other numbers of samples.
        """
        pairs = by_group(first, second)
        return {group: self._cluster(correlations(*pair).abs().numpy(), group) for group, pair in pairs.items()}

    def _cluster(self, likeness: Array, group: str) -> UnitClusters:
        rows, columns = likeness.sum(1) > 0, likeness.sum(0) > 0
        lively = likeness[rows][:, columns]
        if min(lively.shape) < self.clusters:
            raise ConfigurationError(
                f"clusters is {self.clusters}, but of {group!r} only {lively.shape[0]} and {lively.shape[1]} units vary"
            )
        labels = np.full(len(rows) + len(columns), -1)
        labels[np.concatenate([rows, columns])] = _cut(lively, self.clusters)
        one, other = labels[: len(rows)], labels[len(rows) :]
        strength = np.array([_mean(likeness[one == label][:, other == label]) for label in range(self.clusters)])
        order = np.argsort(-strength, kind="stable")
        rank = np.append(np.argsort(order), -1)  # -1 stays
        return UnitClusters(*(torch.from_numpy(part) for part in (rank[one], rank[other], strength[order])))


def _cut(likeness: Array, clusters: int) -> np.ndarray:
    """Return a label from 0 on for each row and then each column, none of them all 0."""
    from scipy.cluster.hierarchy import fcluster, linkage  # half a second that merges should not pay

    scaled = likeness / np.sqrt(likeness.sum(1))[:, None] / np.sqrt(likeness.sum(0))
    left, _, right = np.linalg.svd(scaled, full_matrices=False)
    points = np.concatenate([left[:, :clusters], right[:clusters].T])
    points /= np.maximum(np.linalg.norm(points, axis=1, keepdims=True), np.finfo(float).tiny)
    return fcluster(linkage(points, "ward"), clusters, "maxclust") - 1


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else 0.0
