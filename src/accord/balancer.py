"""What every balancer is: the contract between the engines, which call it, and the methods, which implement it.

One scale convention holds for all of them: **T equal gradients give that gradient back**, as plain averaging does.
So a weight of ``1/T`` each means "as in the mean loss", and heads, which only their own objective reaches, always
receive the gradient of the mean loss under an aggregator (and of the weighted loss under a weighting). Changing the
method therefore never changes the trunk's learning rate relative to the heads' by itself.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from accord.errors import NonFiniteError
from accord.method import Method


class Balancer(nn.Module, ABC):
    """Decides who gets to move the shared parameters: a :class:`Weighting` or an :class:`Aggregator`.

    State lives in buffers, so ``state_dict`` resumes exactly. A buffer whose size depends on the number of tasks, which
    no balancer needs to be told, starts empty and takes the size and dtype it has in a state dict that is loaded.
    """

    method: ClassVar[Method]

    def __init__(self) -> None:
        super().__init__()
        self.register_load_state_dict_pre_hook(_take_sizes)


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
        heads: which loss over the n tasks of a step the other parameters descend, the heads above all: ``"mean"``
            (``1/n`` each) or ``"sum"`` (1 each), whichever keeps the method on the same scale for both. A method whose
            paper descends another loss there is a :class:`HeadWeights` too.
    """

    heads: ClassVar[Literal["mean", "sum"]] = "mean"

    @abstractmethod
    def forward(self, jacobian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        """Return the direction ``[P]`` that replaces the mean gradient; rows where ``active`` is false are ignored.

        Args:
            jacobian: ``[T, P]``.
            losses: ``[T]``, this step's losses (values only, in the unit of the gradients), which
                :func:`accord.backward` always gives and few methods look at.
            active: ``[T]`` bool, the tasks that take part in this step (all when ``None``).
        """


class HeadWeights(ABC):
    """An aggregator with a say in what the heads descend: the losses times these weights, in place of their mean."""

    @abstractmethod
    def head_weights(self, losses: Tensor, *, active: Tensor) -> Tensor:
        """Return weights ``[T]`` on ``losses`` ``[T]``, asked for once per step, after its direction.

        ``1/n`` each is the mean over the n active tasks. Entries of inactive ones are ignored.
        """


class GramianAggregator(Aggregator):
    """An aggregator that is a weighted sum of gradients, with weights that depend on the Gramian alone.

    The weights must not change when all gradients are multiplied by one positive number.
    """

    def forward(self, jacobian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        rows = jacobian if active is None else torch.where(active[:, None], jacobian, 0)
        # Half-precision rows would lose the small singular values that the weights are decided by.
        rows = rows.float() if rows.dtype in HALF else rows
        weights = self.weights(gramian_of(rows), losses=losses, active=active)
        return (weights.to(rows) @ rows).to(jacobian.dtype)

    @abstractmethod
    def weights(self, gramian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        """Return weights ``[T]`` from the Gramian ``[T, T]``; inactive tasks get 0. For ``losses`` see ``forward``.

        They have the Gramian's dtype and device (float32 if it is half precision).

        Raises:
            NonFiniteError: the Gramian of the active tasks is not finite.
        """


class StatelessGramianAggregator(GramianAggregator):
    """A Gramian aggregator without per-task state: inactive tasks are simply left out of the problem."""

    def weights(
        self,
        gramian: Tensor,
        *,
        losses: Tensor | None = None,  # noqa: ARG002 - gradients decide alone
        active: Tensor | None = None,
    ) -> Tensor:
        return solve_active(self.solve, gramian, active)

    @abstractmethod
    def solve(self, gramian: Tensor) -> Tensor:
        """Return weights ``[T]`` for a float64 CPU Gramian ``[T, T]`` of active tasks only, finite and not all 0."""


HALF = (torch.float16, torch.bfloat16)


def solve_active(solve: Callable[[Tensor], Tensor], gramian: Tensor, active: Tensor | None) -> Tensor:
    """Return weights ``[T]`` from ``solve``, asked about the active tasks alone in float64 on the CPU.

    Where all gradients are 0 every weight gives the same direction, and ``1/T`` each is returned.

    Raises:
        NonFiniteError: the Gramian of the active tasks is not finite.
    """
    kept = torch.arange(len(gramian)) if active is None else active.nonzero().squeeze(1).cpu()
    part = gramian.detach().to("cpu", torch.float64)[kept][:, kept]
    weights = torch.zeros(len(gramian), dtype=torch.float64)
    if kept.numel():
        check_finite(part, kept)
        weights[kept] = solve(part) if part.any() else 1.0 / len(kept)
    return weights.to(gramian.device, torch.float32 if gramian.dtype in HALF else gramian.dtype)


def check_finite(gramian: Tensor, tasks: Tensor) -> None:
    """Raise a :class:`NonFiniteError` that names the tasks whose own entry (or any other) is not finite."""
    if not bool(gramian.isfinite().all()):
        wrong = tasks[~gramian.diagonal().isfinite()].tolist() or tasks[~gramian.isfinite().all(dim=1)].tolist()
        raise NonFiniteError(
            f"the gradients of task(s) {wrong} are not finite; leave them out with active=, a bool tensor [T], "
            "or let accord.backward do so"
        )


def _take_sizes(module: nn.Module, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
    for name, buffer in module.named_buffers(recurse=False):
        saved = state_dict.get(prefix + name)
        if isinstance(saved, Tensor) and saved.shape != buffer.shape and 0 in (saved.numel(), buffer.numel()):
            module.register_buffer(name, torch.zeros_like(saved, device=buffer.device))


def keep(losses: Tensor, active: Tensor | None) -> Tensor:
    """Return ``losses`` with inactive entries replaced by a constant 0, so that nothing flows back to them."""
    return losses if active is None else torch.where(active, losses, torch.zeros_like(losses))


def gramian_of(rows: Tensor) -> Tensor:
    """Return ``rows @ rows.T`` up to a power of 4, which leaves the weights alone and keeps squares within range."""
    if not rows.numel():
        return rows.new_zeros(len(rows), len(rows))
    peak = float(torch.linalg.vector_norm(rows.detach(), ord=float("inf")))
    if not 1e-12 < peak < 1e12 and 0.0 < peak < float("inf"):
        rows = rows * 2.0 ** -max(math.frexp(peak)[1], -126)  # 2^127 and above is no float32
    return rows @ rows.T
