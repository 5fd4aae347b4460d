"""The geometric mean of the losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import LearnedWeighting
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.share import check_tasks, share


class GeometricLoss(LearnedWeighting):
    """Minimise the geometric mean ``prod_i L_i^(p_i)``: relative improvements count alike, whatever a loss's unit.

    Its weights are ``w_i = p_i m / L_i`` with ``m`` the geometric mean: ``p_i`` for equal losses, ``1/T`` each unless
    asked otherwise, and more in sum the further the losses lie apart. Taken through logarithms, so that no number of
    small losses underflows. A loss that has reached 0 can fall no further and would make the product 0 for all: it is
    left out while it is there.

    Shapes: losses ``[T]``, not negative -> weights ``[T]``. Cost: one backward. No parameters, no state.

    Args:
        preference: ``[T]`` non-negative relative exponents, brought to sum 1 over the active tasks; equal if ``None``.

    Source: Chennupati et al., MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task
    Learning, 2019. Multiplying the losses themselves, as the paper writes it and a peer does, gives NaN at forty losses
    of 1e-3. Its focused form, the product of the means over all T and over m chosen tasks, is the preference ``1/T``
    plus ``1/m`` for those.
    """

    method: ClassVar[Method] = Method(
        title="GLS",
        paper="MultiNet++: Multi-Stream Feature Aggregation and Geometric Loss Strategy for Multi-Task Learning",
        year=2019,
        url="https://arxiv.org/abs/1904.08492",
        needs="losses",
        cost="1 backward",
    )

    preference: Tensor

    def __init__(self, preference: Sequence[float] | Tensor | None = None) -> None:
        super().__init__()
        values = torch.zeros(0) if preference is None else torch.as_tensor(preference).detach()
        wrong = values.ndim != 1 or not bool(values.isfinite().all()) or bool((values < 0).any())
        if wrong or (preference is not None and not values.any()):
            raise ConfigurationError(
                f"a preference is one finite, non-negative number per task, not all 0; got {values.tolist()}"
            )
        self.register_buffer("preference", values.to(torch.float64, copy=True))

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
        return (share(self._exponents(losses), losses.double(), mask) @ logs).exp().to(losses.dtype)

    def _exponents(self, losses: Tensor) -> Tensor:
        if not self.preference.numel():
            return torch.ones_like(losses, dtype=torch.float64)
        check_tasks(len(self.preference), losses, "the preference of GeometricLoss")
        return self.preference.to(losses.device)
