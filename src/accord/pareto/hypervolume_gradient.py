"""A set of solutions that spreads so as to dominate as much as possible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from accord.method import Method
from accord.pareto.dominance import ranks
from accord.pareto.hypervolume import facets
from accord.pareto.points import Array, like, read_points, read_reference


class HypervolumeGradient(nn.Module):
    """What each of K solutions should weigh its objectives with for the set's hypervolume to grow fastest.

    The objectives of K solutions, all minimised, are sorted into fronts (the non-dominated ones, those that only these
    dominate, and so on). A solution's weights are minus the slopes of its own front's hypervolume in its objectives,
    brought to length 1; dominated solutions are so drawn to the front rather than left alone. One step for all::

        points = torch.stack([objectives(solution) for solution in solutions])     # [K, m]
        (weigh(points) * points).sum().backward()

    The reference of a step is ``max(reference, 1.1 max_k points)`` in every objective, so that no solution is beyond
    it. Equal solutions have equal weights, and as they move alike, they stay equal: start them apart.

    Shapes: ``[K, m]`` -> ``[K, m]``, not negative, rows of length 1. Cost: that of ``m`` hypervolumes; O(K^2) for three
    objectives.

    Args:
        reference: ``[m]``, finite.

    Raises:
        DataError: points or reference are not finite or do not fit together.

    Source: Deist et al., Multi-Objective Learning to Predict Pareto Fronts Using Hypervolume Maximization, 2021, after
    Wang et al., Hypervolume Indicator Gradient Ascent Multi-objective Optimization, 2017. A tenth of the maximum's size
    is added, which differs from a factor of 1.1 for negative objectives.
    """

    method: ClassVar[Method] = Method(
        title="Hypervolume maximisation",
        paper="Multi-Objective Learning to Predict Pareto Fronts Using Hypervolume Maximization",
        year=2021,
        url="https://arxiv.org/abs/2102.04523",
        needs="losses",
        cost="one backward per solution + O(K^2) for K solutions in three objectives",
    )
    reference: Tensor

    def __init__(self, reference: Sequence[float] | Tensor) -> None:
        super().__init__()
        values = torch.as_tensor(reference, dtype=torch.float64)
        self.register_buffer("reference", torch.from_numpy(read_reference(values, values.numel())))

    def forward(self, points: Tensor) -> Tensor:
        array = read_points(points)
        given = read_reference(self.reference, array.shape[1])
        weights = np.zeros_like(array)
        if len(array):
            worst = array.max(axis=0)
            corner = np.maximum(given, worst + 0.1 * np.abs(worst))
            fronts = ranks(array).numpy()
            for front in range(fronts.max() + 1):
                weights[fronts == front] = _slopes(array[fronts == front], corner)
        lengths = np.linalg.norm(weights, axis=1, keepdims=True)
        return like(weights / np.where(lengths > 0, lengths, 1.0), points).to(points)

    def extra_repr(self) -> str:
        return f"reference={self.reference.tolist()}"


def _slopes(points: Array, corner: Array) -> Array:
    """Return minus the slopes of the hypervolume of one front, the same for equal points."""
    distinct, number = np.unique(points, axis=0, return_inverse=True)
    slopes = np.stack([facets(distinct, corner, axis) for axis in range(points.shape[1])], axis=1)
    return slopes[number.reshape(-1)]
