"""Auto-Lambda: weights that lower the primary tasks' validation losses, by gradient descent on them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError, suggest
from accord.method import Method
from accord.weighting.adam import adam
from accord.weighting.look_ahead import Closure, LooksAhead, differences, exact, trainable
from accord.weighting.share import check_tasks

Hypergradient = Literal["differences", "exact"]


class AutoLambda(DirectWeighting, LooksAhead):
    """Learn the weights under which one step lowers the validation losses of the primary tasks most.

    Before a step, :meth:`update` takes a virtual one with the weights as they are, looks at the validation losses
    behind it, and moves the weights by Adam along ``d L_val(theta - step sum_i w_i g_i) / d w``. A training task that
    leads the primary ones the right way gains weight, one that leads them astray loses it.

    Shapes: losses ``[T]`` -> weights ``[T]``, not negative, ``1/T`` at first. They all grow where all tasks
    help. Cost: one backward, and per update 2 backwards and 4 forwards (``"differences"``) or 2 T backwards.

    Args:
        lr: learning rate of the weights, in units of ``start``.
        primary: tasks whose validation losses count; all if ``None``.
        start: initial value of each weight before the division by ``T start`` that makes it ``1/T``: relative to it,
            larger means slower.
        hypergradient: ``"differences"``, the paper's approximation, or ``"exact"``, which is the derivative of the
            step taken.

    Source: Liu et al., Auto-Lambda: Disentangling Dynamic Task Relationships, 2022 (start 0.1, Adam at 1e-4). The
    derivative that the paper approximates needs no second order: the step is linear in the weights. The authors'
    virtual step adds momentum and decay, which do not depend on the weights; here it is the plain step. They let
    weights turn negative and climb a loss; here they stop at 0. A peer draws different dropout masks for the two losses
    of the difference. Without :meth:`update` this is plain averaging.
    """

    method: ClassVar[Method] = Method(
        title="Auto-Lambda",
        paper="Auto-Lambda: Disentangling Dynamic Task Relationships",
        year=2022,
        url="https://arxiv.org/abs/2202.03091",
        needs="losses",
        cost="3 backwards + 4 forwards",
        catalogue=(442,),
    )
    scales: Tensor
    moments: Tensor
    updates: Tensor

    def __init__(
        self,
        lr: float = 1e-4,
        primary: Sequence[int] | None = None,
        start: float = 0.1,
        hypergradient: Hypergradient = "differences",
    ) -> None:
        super().__init__()
        for name, value in (("lr", lr), ("start", start)):
            if not 0.0 < value < math.inf:
                raise ConfigurationError(f"{name} must be a finite number above 0; got {value}")
        if hypergradient not in get_args(Hypergradient):
            hint = suggest(str(hypergradient), get_args(Hypergradient))
            raise ConfigurationError(f"AutoLambda has no hypergradient {hypergradient!r}. {hint}")
        if primary is not None and (not primary or min(primary) < 0):
            raise ConfigurationError(f"primary names tasks by position from 0, one at least; got {list(primary)}")
        self.lr = lr
        self.primary = None if primary is None else tuple(primary)
        self.start = start
        self.hypergradient = hypergradient
        self.register_buffer("scales", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("moments", torch.zeros(2, 0, dtype=torch.float64))
        self.register_buffer("updates", torch.zeros(0, dtype=torch.float64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        mask = torch.ones_like(losses, dtype=torch.bool) if active is None else active
        scales = torch.ones_like(losses, dtype=torch.float64)
        if self.scales.numel():
            check_tasks(len(self.scales), losses, "AutoLambda")
            scales = self.scales.to(losses.device) / self.start
        dtype = torch.promote_types(losses.dtype, torch.float32)
        return torch.where(mask, scales / mask.sum().clamp(min=1), 0.0).to(dtype)

    def update(self, parameters: Iterable[Tensor], *, train: Closure, validation: Closure, step: float) -> None:
        leaves = trainable(parameters)
        if self.hypergradient == "exact":
            now, slopes = exact(leaves, train, validation, self._weigh, step)
            slope = self._chosen(slopes[:, 0]) @ slopes
        else:
            now, slope = differences(leaves, train, validation, self._weigh, step, self._chosen)
        if not self.scales.numel():
            self.scales = self.scales.new_full((len(now),), self.start)
            self.moments, self.updates = self.moments.new_zeros(2, len(now)), self.updates.new_zeros(len(now))
        slope = slope.to(self.scales)
        seen = now.isfinite().to(slope.device) & slope.isfinite()
        if bool(seen.any()):
            moved = self.scales[seen] - self.lr * adam(slope[seen], seen, self.moments, self.updates)
            self.scales[seen] = moved.clamp(min=0.0)

    def _weigh(self, losses: Tensor) -> Tensor:
        return self(losses, active=losses.isfinite())

    def _chosen(self, losses: Tensor) -> Tensor:
        if self.primary is None:
            return torch.ones_like(losses)
        if max(self.primary) >= len(losses):
            raise ConfigurationError(
                f"primary names task {max(self.primary)}, but there are {len(losses)}, counted from 0"
            )
        return torch.zeros_like(losses).index_fill(0, torch.tensor(self.primary), 1.0)

    def extra_repr(self) -> str:
        return f"lr={self.lr}, primary={self.primary}, start={self.start}, hypergradient={self.hypergradient!r}"
