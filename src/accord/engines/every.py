"""Reuse the weights of one step for the next few."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.balancer import Aggregator, GramianAggregator, HeadWeights
from accord.engines.per_group import PerGroup
from accord.errors import ConfigurationError


class Every(GramianAggregator):
    """Ask an aggregator for weights in every ``steps``-th step, and descend with the same ones in between.

    Under :func:`accord.backward` the steps in between cost one ordinary backward and know no Gramian. Weights drift
    slowly compared with gradients, but what an aggregator promises (no conflict, say) it promises for the step it saw::

        balancer = accord.engines.Every(accord.aggregation.UPGrad(), 4)
        accord.backward(losses, shared=params, balancer=balancer)

    A step decides anew, ahead of time, when a task takes part that had no weight yet. A task that is missing has weight
    0 and gets its own back when it returns; the others keep theirs. Steps that are given up (overflow under a gradient
    scaler) do not count. An aggregator with state sees every ``steps``-th step only.

    Attributes:
        held: ``[T]`` float64, the weights in use; empty before the first step. All state is in ``state_dict``.
        covers: ``[T]`` bool, the tasks that took part when they were decided.
        age: steps taken with them.

    Args:
        inner: a Gramian aggregator.
        steps: k, at least 1, which is the aggregator itself.

    Raises:
        ConfigurationError: an aggregator that needs the full Jacobian, since it has no weights to reuse; one that
            weighs the heads in every step; a weighting.

    Cost: ``1/k`` of a step of ``inner`` and ``(k-1)/k`` of an ordinary one. Models with reentrant checkpoints, and
    shards of ``fully_shard``, are differentiated in every step all the same.

    Source: Navon et al., Multi-Task Learning as a Bargaining Game, 2022, section 5, which updates weights once in
    several steps at little loss; any Gramian aggregator may here.
    """

    inner: GramianAggregator
    held: Tensor
    covers: Tensor
    age: Tensor

    def __init__(self, inner: Aggregator, steps: int) -> None:
        super().__init__()
        if steps < 1:
            raise ConfigurationError(f"steps is {steps}; weights are found in every 1st, 2nd, 3rd, ... step")
        self.inner, self.steps = _checked(inner), steps
        self.heads = inner.heads  # pyright: ignore[reportAttributeAccessIssue] - that of the class it stands for
        self.register_buffer("held", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("covers", torch.zeros(0, dtype=torch.bool))
        self.register_buffer("age", torch.zeros((), dtype=torch.int64))

    def due(self, active: Tensor) -> bool:
        """Return whether a step in which the tasks ``active`` ``[T]`` take part needs the Gramian."""
        if not 0 < int(self.age) < self.steps or len(self.held) != len(active):
            return True
        return bool((active.to(self.covers.device) & ~self.covers).any())

    def weights(self, gramian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        present = torch.ones(len(gramian), dtype=torch.bool) if active is None else active
        if self.due(present):
            found = self.inner.weights(gramian, losses=losses, active=active)
            self.held, self.covers = found.double(), present.to(found.device, copy=True)
            self.age = torch.ones_like(self.age)
        else:
            self.age = self.age + 1
        return torch.where(present.to(gramian.device), self.held.to(gramian), 0.0)

    def extra_repr(self) -> str:
        return f"steps={self.steps}"


def _checked(inner: object) -> GramianAggregator:
    who = type(inner).__name__
    if isinstance(inner, PerGroup):
        raise ConfigurationError("PerGroup decides for each group by itself, so Every has no weights [T] to reuse")
    if isinstance(inner, HeadWeights):
        raise ConfigurationError(f"{who} weighs the heads by each step's losses: use it without Every")
    if isinstance(inner, Aggregator) and not isinstance(inner, GramianAggregator):
        raise ConfigurationError(
            f"{who} combines the rows of the full Jacobian, so it has no weights to reuse: use it without Every, or a "
            "Gramian aggregator, e.g. UPGrad"
        )
    if not isinstance(inner, GramianAggregator):
        raise ConfigurationError(f"Every is for aggregators that find weights, e.g. Every(UPGrad(), 4); got {inner!r}")
    return inner
