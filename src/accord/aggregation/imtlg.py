"""Impartial gradients: the update has the same projection on every task's direction."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.balancer import StatelessGramianAggregator
from accord.linalg import normalise, precision, spectrum
from accord.method import Method


class IMTLG(StatelessGramianAggregator):
    """Weight the gradients so that the update makes equal progress along each.

    ``<d, g_i / |g_i|>`` is alike for all ``i``: with cosines ``K`` and norms ``n``: ``w_i = b_i / n_i`` where ``K b``
    is constant, scaled so that ``sum |w_i| = 1``. The direction does not change when a loss is multiplied by a positive
    number.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, of either sign. Cost O(T^3) after the
    Gramian.

    Source: Liu et al., Towards Impartial Multi-task Learning, 2021 (the gradient half, IMTL-G; the loss half is a
    weighting). The paper asks for ``sum w_i = 1``. That is the same as long as no weight is negative. With three or
    more tasks some can be, and the sum may then pass through 0 (an unbounded step) or below (a step uphill for all
    tasks), so the absolute sum is used. The closed form of the paper inverts a singular matrix when gradients are
    dependent; the least-norm solution is taken here, and if an equal projection is only possible at 0 (gradients in
    balance) the update is 0. A gradient of 0 has no direction to project on, and is left out (peers return NaN).
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
        progress = _equal_projections(cosines[np.ix_(used, used)], precision(gramian.numpy()))
        weights[used] = progress * norms[used].min() / norms[used]
        return torch.from_numpy(weights / np.abs(weights).sum())


def _equal_projections(cosines: np.ndarray, rounding: float) -> np.ndarray:
    """Return ``b`` ``[T]`` with all entries of ``cosines @ b`` equal, and positive if they can be."""
    values, vectors = spectrum(cosines)
    ones = vectors.sum(axis=0)  # the vector of ones in the basis of eigenvectors
    null = values <= len(values) * rounding * values[-1]
    # Beyond rounding, a part of the ones that no update can produce is itself a combination of gradients that is 0.
    if np.linalg.norm(ones[null]) > np.sqrt(rounding * len(values)):
        return vectors[:, null] @ ones[null]
    return vectors[:, ~null] @ (ones[~null] / values[~null])
