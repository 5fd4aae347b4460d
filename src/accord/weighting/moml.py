"""MOML: weights that lower every task's validation loss, by the common descent direction of all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError
from accord.linalg import min_norm_weights
from accord.method import Method
from accord.weighting.adam import adam
from accord.weighting.look_ahead import Closure, LooksAhead, exact, trainable
from accord.weighting.share import check_tasks, share


class MOML(DirectWeighting, LooksAhead):
    """Learn weights ``softmax(a)`` such that one step with them lowers all validation losses together.

    Before a step, :meth:`update` takes a virtual one and computes how each of the m validation losses behind it would
    change with ``a``: m gradients, exact for one step. Brought to unit length, their shortest convex combination (MGDA)
    is the direction in which ``a`` descends by Adam: no validation loss rises, to first order.

    Shapes: losses ``[T]`` -> weights ``[T]``, positive, summing to 1. Cost: one backward, and T + m backwards and
    (T + m) P numbers per update.

    Args:
        lr: learning rate of ``a``.

    Source: Ye et al., Multi-Objective Meta Learning, 2021 (one inner step; Adam at 1e-3 and inner rate 0.1 in the
    authors' library, whose normalisation ``l2`` this is). There the shortest combination is searched in 250 rounds;
    here it is exact. A validation loss that does not depend on the weights has no say. Without :meth:`update` this is
    plain averaging.
    """

    method: ClassVar[Method] = Method(
        title="MOML",
        paper="Multi-Objective Meta Learning",
        year=2021,
        url="https://arxiv.org/abs/2102.07121",
        needs="losses",
        cost="(2T + 1) backwards",
        catalogue=(442,),
    )
    logits: Tensor
    moments: Tensor
    updates: Tensor

    def __init__(self, lr: float = 1e-3) -> None:
        super().__init__()
        if not 0.0 < lr < math.inf:
            raise ConfigurationError(f"lr must be a finite number above 0; got {lr}")
        self.lr = lr
        self.register_buffer("logits", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("moments", torch.zeros(2, 0, dtype=torch.float64))
        self.register_buffer("updates", torch.zeros(0, dtype=torch.float64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        if not self.logits.numel():
            return share(torch.ones_like(losses, dtype=torch.float64), losses, active)
        check_tasks(len(self.logits), losses, "MOML")
        return share(torch.softmax(self.logits, dim=0), losses, active)

    def update(self, parameters: Iterable[Tensor], *, train: Closure, validation: Closure, step: float) -> None:
        now, slopes = exact(trainable(parameters), train, validation, self._weigh, step)
        if not self.logits.numel():
            self.logits = self.logits.new_zeros(len(now))
            self.moments, self.updates = self.moments.new_zeros(2, len(now)), self.updates.new_zeros(len(now))
        weights = self._weigh(now).to(slopes)
        through = slopes * weights - (slopes @ weights)[:, None] * weights  # the derivative of softmax
        lengths = through.norm(dim=1)
        units = through[lengths > 0] / lengths[lengths > 0, None]
        seen = now.isfinite().to(self.logits.device)
        if len(units) and bool(seen.any()):
            shares = torch.from_numpy(min_norm_weights((units @ units.T).numpy()))
            slope = (shares @ units).to(self.logits)
            self.logits[seen] -= self.lr * adam(slope[seen], seen, self.moments, self.updates)

    def _weigh(self, losses: Tensor) -> Tensor:
        return self(losses, active=losses.isfinite())

    def extra_repr(self) -> str:
        return f"lr={self.lr}"
