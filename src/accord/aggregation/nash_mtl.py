"""Multi-task learning as a bargaining game."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.aggregation.preference import PreferenceAggregator
from accord.linalg import bargaining_weights
from accord.method import Method


class NashMTL(PreferenceAggregator):
    """Give each task the Nash bargaining solution: the update that maximises ``sum_i log <g_i, d>`` over a ball.

    With Gramian ``G`` its weights solve ``G a = 1 / a`` (each task's gain times its weight is alike), ``a > 0``. No
    task loses, all gain equally in relative terms, and the direction does not change when a loss is multiplied by a
    positive number.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, non-negative. Cost O(T^3) times about five.

    Args:
        preference: ``[T]`` relative bargaining powers ``p``, for ``G a = p / a``; equal if ``None``. A task with power
            0 has no seat in the bargain.

    Scale: ``J' a`` has length ``sqrt(T)`` whatever the gradients are, so a learning rate would mean something else than
    with any other method. The weights are multiplied by the mean gradient norm over ``sqrt(T)``, so that the update is
    as long as a gradient. For the paper's own scale, divide by that factor, ``G.diagonal().sqrt().mean() / sqrt(T)``;
    the authors' code, and its ports, clip the result to length 1.

    Source: Navon et al., Multi-Task Learning as a Bargaining Game, 2022. The paper approaches the solution by up to 20
    convex programmes per step and reuses weights between steps; here it is found to rounding, as the minimum of a
    strictly convex function, without a history. Where gradients balance each other there is no bargain, and the update
    is 0 up to rounding. A gradient of 0 has nothing to gain and gets weight 0. Heads descend the mean loss, as under
    every aggregator; in the authors' code, and its ports, their losses are weighted by ``a`` too.
    """

    method: ClassVar[Method] = Method(
        title="Nash-MTL",
        paper="Multi-Task Learning as a Bargaining Game",
        year=2022,
        url="https://arxiv.org/abs/2202.01017",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
    )

    def solve(self, gramian: Tensor, preference: Tensor) -> Tensor:
        return bargained(gramian, preference)


def bargained(gramian: Tensor, preference: Tensor) -> Tensor:
    """Return the weights ``[T]`` of the bargain, on the scale of :class:`NashMTL`.

    Args:
        gramian: ``[T, T]`` float64.
        preference: ``[T]`` bargaining powers that sum to 1; a task with power 0 has no seat.
    """
    norms = gramian.diagonal().sqrt()
    seats = (preference > 0) & (norms > 0)
    weights = torch.zeros_like(norms)
    if seats.any():
        power = preference[seats] / preference[seats].sum()
        bargain = bargaining_weights(gramian[seats][:, seats].numpy(), power.numpy())
        # With powers that sum to 1 the update has length 1.
        weights[seats] = torch.from_numpy(bargain) * (preference @ norms)
    return weights
