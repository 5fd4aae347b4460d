"""Aggregators that look at the gradients themselves."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from accord.aggregation.known_losses import check_losses
from accord.balancer import HALF, Aggregator
from accord.errors import NonFiniteError


@dataclass(frozen=True, slots=True)
class Present:
    """The tasks whose gradients a step has.

    Attributes:
        kept: ``[n]``, which of the tasks these are.
        tasks: T, those that are not active included.
        losses: ``[n]`` values of their losses; ``None`` when the caller gave none.
    """

    kept: Tensor
    tasks: int
    losses: Tensor | None


class JacobianAggregator(Aggregator):
    """An aggregator whose direction is no weighted sum that the Gramian could decide, or that remembers gradients."""

    def forward(self, jacobian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        kept = torch.arange(len(jacobian), device=jacobian.device)
        kept = kept if active is None else kept[active.to(jacobian.device)]
        rows = jacobian.detach()[kept]
        wrong = kept[~rows.isfinite().all(dim=1)].tolist()
        if wrong:
            raise NonFiniteError(
                f"the gradients of task(s) {wrong} are not finite; leave them out with active=, a bool tensor [T], "
                "or let accord.backward do so"
            )
        if not len(rows):
            return jacobian.new_zeros(jacobian.shape[1])
        values = None if losses is None else losses.detach().to(kept.device)[kept]
        if values is not None:
            check_losses(values, kept)
        present = Present(kept, len(jacobian), values)
        return self.combine(rows.float() if rows.dtype in HALF else rows, present).to(jacobian.dtype)

    @abstractmethod
    def combine(self, rows: Tensor, present: Present) -> Tensor:
        """Return the direction ``[P]`` from the finite gradients ``[n, P]`` of the ``n > 0`` active tasks.

        Args:
            rows: ``[n, P]``, at least single precision; not to be changed.
            present: the tasks that they belong to.
        """
