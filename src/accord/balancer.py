"""What every balancer is: the contract between the engines, which call it, and the methods, which implement it.

One scale convention holds for all of them: **T equal gradients give that gradient back**, as plain averaging does.
So a weight of ``1/T`` each means "as in the mean loss", and heads, which only their own objective reaches, always
receive the gradient of the mean loss under an aggregator (and of the weighted loss under a weighting). Changing the
method therefore never changes the trunk's learning rate relative to the heads' by itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from accord.method import Method


class Balancer(nn.Module, ABC):
    """Decides who gets to move the shared parameters: a :class:`Weighting` or an :class:`Aggregator`.

    State lives in buffers (or ``get_extra_state`` as a tensor), so ``state_dict`` resumes exactly.
    """

    method: ClassVar[Method]


class Weighting(Balancer):
    """Losses, history or Gramian -> weights ``[T]`` on whole losses, heads included."""

    @abstractmethod
    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        """Return weights ``[T]`` for ``losses`` ``[T]``; ``1/T`` each is plain averaging.

        Args:
            losses: ``[T]``, this step's losses (only values are used).
            gramian: ``[T, T]`` inner products of the gradients; given when ``method.needs`` is ``"gramian"``.
            active: ``[T]`` bool, the tasks that take part in this step (all when ``None``); others get weight 0 and
                leave the state of the others untouched.
        """

    @abstractmethod
    def objective(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        """Return the scalar to minimise, differentiable in ``losses`` and in this module's own parameters."""


class DirectWeighting(Weighting):
    """A weighting whose weights are numbers: the objective is their inner product with the losses."""

    def objective(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        weights = self(losses.detach(), gramian=gramian, active=active)
        return keep(losses, active).mul(weights.to(losses)).sum()


class LearnedWeighting(Weighting):
    """A weighting with parameters of its own: the weights are the slope of its objective in each loss."""

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        probe = losses.detach().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self.objective(probe, gramian=gramian, active=active), probe)
        return slope


class Aggregator(Balancer):
    """Jacobian ``[T, P]`` -> update direction ``[P]``.

    Attributes:
        heads: which loss over all T tasks the other parameters descend, the heads above all: ``"mean"`` (``1/T`` each)
            or ``"sum"`` (1 each), whichever keeps the method on the same scale for both.
    """

    heads: ClassVar[Literal["mean", "sum"]] = "mean"

    @abstractmethod
    def forward(self, jacobian: Tensor, *, active: Tensor | None = None) -> Tensor:
        """Return the direction ``[P]`` that replaces the mean gradient; rows where ``active`` is false are ignored."""


class GramianAggregator(Aggregator):
    """An aggregator that is a weighted sum of gradients, with weights that depend on the Gramian alone."""

    def forward(self, jacobian: Tensor, *, active: Tensor | None = None) -> Tensor:
        rows = jacobian if active is None else torch.where(active[:, None], jacobian, 0)
        weights = self.weights(_gramian(rows), active=active)
        return weights.to(rows) @ rows

    @abstractmethod
    def weights(self, gramian: Tensor, *, active: Tensor | None = None) -> Tensor:
        """Return weights ``[T]`` from the Gramian ``[T, T]``; inactive tasks get 0."""


class StatelessGramianAggregator(GramianAggregator):
    """A Gramian aggregator without per-task state: inactive tasks are simply left out of the problem."""

    def weights(self, gramian: Tensor, *, active: Tensor | None = None) -> Tensor:
        if active is None or bool(active.all()):
            return self.solve(gramian.detach().to("cpu", torch.float64)).to(gramian)
        index = active.nonzero().squeeze(1)
        weights = gramian.new_zeros(gramian.shape[0])
        if index.numel():
            part = gramian.detach()[index][:, index].to("cpu", torch.float64)
            weights[index] = self.solve(part).to(gramian)
        return weights

    @abstractmethod
    def solve(self, gramian: Tensor) -> Tensor:
        """Return weights ``[T]`` for a float64 CPU Gramian ``[T, T]`` of active tasks only."""


def keep(losses: Tensor, active: Tensor | None) -> Tensor:
    """Return ``losses`` with inactive entries replaced by a constant 0, so that nothing flows back to them."""
    return losses if active is None else torch.where(active, losses, torch.zeros_like(losses))


def _gramian(jacobian: Tensor) -> Tensor:
    # Half-precision rows would lose the small singular values that the weights are decided by.
    rows = jacobian.float() if jacobian.dtype in (torch.float16, torch.bfloat16) else jacobian
    return rows @ rows.T
