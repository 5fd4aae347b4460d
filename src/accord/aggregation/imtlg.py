"""Impartial gradients: the update has the same projection on every task's direction."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.balancer import StatelessGramianAggregator
from accord.linalg import normalise, precision, with_projections
from accord.method import Method


class IMTLG(StatelessGramianAggregator):
    """Weight the gradients so that the update makes equal progress along each.

    ``<d, g_i / |g_i|>`` is alike for all ``i``. With cosines ``K`` and norms ``n``: ``w_i = b_i / n_i`` where ``K b``
    is constant, scaled so that ``sum |w_i| = 1``. The direction does not change when a loss is multiplied by a positive
    number.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, of either sign. Cost O(T^3) after the
    Gramian.

    Source: Liu et al., Towards Impartial Multi-task Learning, 2021 (the gradient half, IMTL-G; the loss half is a
    weighting). The paper asks for ``sum w_i = 1``. That is the same as long as no weight is negative. With three or
    more tasks some can be, and the sum may then pass through 0 (an unbounded step) or below (a step uphill for all
    tasks), so the absolute sum is used. The closed form of
    the paper inverts a singular matrix when gradients are dependent; then the projections are as nearly equal as least
    squares can make them, and 0 where only an update of 0 makes them equal (opposed gradients). A gradient of 0 has no
    direction to project on, and is left out (peers return NaN).
    """

    method: ClassVar[Method] = Method(
        title="IMTL-G",
        paper="Towards Impartial Multi-task Learning",
        year=2021,
        url="https://openreview.net/forum?id=IMPnRXEWpvr",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
    )

    def solve(self, gramian: Tensor) -> Tensor:
        cosines, norms = normalise(gramian.numpy())
        used = norms > 0
        weights = np.zeros_like(norms)
        progress = with_projections(cosines[np.ix_(used, used)], np.ones(used.sum()), precision(gramian.numpy()))
        weights[used] = progress * norms[used].min() / norms[used]
        total = np.abs(weights).sum()
        return torch.from_numpy(weights / total if total > 0 else weights)
