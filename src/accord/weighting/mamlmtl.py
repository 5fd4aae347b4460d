"""MAML-MTL: each task is judged after a step of its own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.method import Method
from accord.weighting.look_ahead import Closure, Losses, moved, rows, trainable, values
from accord.weighting.share import share


class MAMLMTL(DirectWeighting):
    """The two-step optimisation of MMoEEx: minimise the mean of ``L_i(theta - step grad L_i(theta))``.

    :meth:`two_step` returns those losses, task i's on one batch after a virtual step along its own gradient on another;
    hand them to :func:`accord.backward` in place of the losses of the batch, with this weighting, which averages, or
    with any other balancer. A task whose step would spoil what it is judged on pulls back.

    Shapes: losses ``[T]`` -> weights ``[T]``, ``1/T`` each. Cost: one backward; :meth:`two_step` takes T + 1 forwards
    and 2 T backwards, at ``second_order`` 2 T + 1 and 4 T, and 2 T P numbers.

    Args:
        second_order: differentiate through the virtual step too, instead of taking the gradient behind it.

    Source: Aoki, Tung and Oliveira, Heterogeneous Multi-task Learning with Expert Diversity, 2021. The paper writes the
    derivative through the step; the authors' code copies parameters in between and so takes the first order, which is
    the default here. It splits each batch in two and steps by the optimiser's learning rate. Without :meth:`two_step`
    this is plain averaging.
    """

    method: ClassVar[Method] = Method(
        title="MAML-MTL",
        paper="Heterogeneous Multi-task Learning with Expert Diversity",
        year=2021,
        url="https://arxiv.org/abs/2106.10595",
        needs="nothing",
        cost="2T backwards + (T + 1) forwards",
        catalogue=(15,),
    )

    def __init__(self, second_order: bool = False) -> None:
        super().__init__()
        self.second_order = second_order

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        return share(torch.ones_like(losses, dtype=torch.float64), losses, active)

    def two_step(
        self, parameters: Iterable[Tensor], *, inner: Closure, outer: Closure, step: float
    ) -> list[Tensor | None]:
        """Return each task's loss on ``outer`` after its own step on ``inner``; ``None`` where either is absent.

        The losses can be differentiated in ``parameters`` once; those stay as they are.

        Args:
            parameters: those that the losses train; frozen ones are skipped.
            inner: computes the T losses of the batch to step on.
            outer: computes the T losses of the batch to judge by.
            step: length of the virtual step, the optimiser's learning rate.
        """
        leaves = trainable(parameters)
        losses = inner()
        known = values(losses).isfinite()
        steps = rows(losses, leaves)
        return [
            self._judged(leaves, inner, outer, task, steps[task], step) if known[task] else None
            for task in range(len(known))
        ]

    def _judged(
        self, leaves: Sequence[Tensor], inner: Closure, outer: Closure, task: int, along: Tensor, step: float
    ) -> Tensor | None:
        with moved(leaves, along, step):
            loss = _one(outer(), task)
            if loss is None:
                return None
            gradient = _flat(torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True))
        if self.second_order:
            gradient = gradient - step * _curvature(_one(inner(), task), leaves, gradient)
        return cast(Tensor, Known.apply(loss.detach(), gradient, *leaves))

    def extra_repr(self) -> str:
        return f"second_order={self.second_order}"


class Known(torch.autograd.Function):
    """A number whose gradient over the parameters is known already."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, value: Tensor, gradient: Tensor, *leaves: Tensor) -> Tensor:
        ctx.save_for_backward(gradient)
        ctx.shapes = [leaf.shape for leaf in leaves]  # pyright: ignore[reportAttributeAccessIssue]
        return value.clone()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors  # pyright: ignore[reportAttributeAccessIssue]
        shapes: list[torch.Size] = ctx.shapes  # pyright: ignore[reportAttributeAccessIssue]
        pieces = gradient.split([shape.numel() for shape in shapes])
        return None, None, *(grads[0] * piece.view(shape) for piece, shape in zip(pieces, shapes, strict=True))


def _one(losses: Losses, task: int) -> Tensor | None:
    return list(losses.values() if isinstance(losses, Mapping) else losses)[task]


def _flat(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat([gradient.reshape(-1) for gradient in gradients])


def _curvature(loss: Tensor | None, leaves: Sequence[Tensor], along: Tensor) -> Tensor:
    """Return the loss's Hessian times ``along`` ``[P]``."""
    if loss is None:
        return torch.zeros_like(along)
    slope = _flat(torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True, materialize_grads=True))
    if not slope.requires_grad:  # a loss that is linear in the parameters
        return torch.zeros_like(along)
    return _flat(torch.autograd.grad(slope @ along, leaves, allow_unused=True, materialize_grads=True))
