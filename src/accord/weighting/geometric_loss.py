"""The geometric mean of the losses."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import LearnedWeighting
from accord.errors import ConfigurationError
from accord.method import Method


class GeometricLoss(LearnedWeighting):
    """Minimise the geometric mean ``(prod_i L_i)^(1/T)``: relative improvements count alike, whatever a loss's unit.

    Its weights are ``w_i = m / (T L_i)`` with ``m`` the geometric mean: ``1/T`` each for equal losses, and more in sum
    the further the losses lie apart. Taken through logarithms, so that no number of small losses underflows. A loss
    that has reached 0 can fall no further and would make the product 0 for all: it is left out while it is there.

    Shapes: losses ``[T]``, not negative -> weights ``[T]``. Cost: one backward. No parameters, no state.

    Source: Chennupati et al., MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task
    Learning, 2019. Multiplying the losses themselves, as the paper writes it and a peer does, gives NaN at forty losses
    of 1e-3.
    """

    method: ClassVar[Method] = Method(
        title="GLS",
        paper="MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task Learning",
        year=2019,
        url="https://arxiv.org/abs/1904.08492",
        needs="losses",
        cost="1 backward",
    )

    def objective(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        mask = torch.ones_like(losses, dtype=torch.bool) if active is None else active
        if bool((mask & (losses < 0)).any()):
            raise ConfigurationError(
                f"a geometric mean needs losses that are not negative; got {losses.tolist()}. "
                "Add a constant to the loss, or choose another weighting."
            )
        # Not through `mask & (losses > 0)`, which would silently drop a NaN.
        mask = mask & (losses != 0)
        if not bool(mask.any()):
            return torch.where(mask, losses, torch.zeros_like(losses)).sum()
        # Halves know too few losses: 1e-5 is 0 to them.
        logs = torch.where(mask, losses, torch.ones_like(losses)).double().log()
        return (logs.sum() / mask.sum()).exp().to(losses.dtype)
