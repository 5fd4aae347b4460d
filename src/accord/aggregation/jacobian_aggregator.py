"""Aggregators that look at the gradients themselves."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from accord.balancer import HALF, Aggregator
from accord.errors import NonFiniteError


class JacobianAggregator(Aggregator):
    """An aggregator whose direction is no weighted sum that the Gramian could decide, or that remembers gradients."""

    def forward(self, jacobian: Tensor, *, active: Tensor | None = None) -> Tensor:
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
        return self.combine(rows.float() if rows.dtype in HALF else rows, kept, len(jacobian)).to(jacobian.dtype)

    @abstractmethod
    def combine(self, rows: Tensor, kept: Tensor, tasks: int) -> Tensor:
        """Return the direction ``[P]`` from the finite gradients ``[n, P]`` of the ``n > 0`` active tasks.

        Args:
            rows: ``[n, P]``, at least single precision; not to be changed.
            kept: ``[n]``, which of the tasks they belong to.
            tasks: T, those that are not active included.
        """
