"""What a Gramian tells of how the tasks pull at the parameters that they share."""

from __future__ import annotations

import torch
from torch import Tensor


def cosines(gramian: Tensor) -> Tensor:
    """Return the cosines ``[T, T]`` between gradients with inner products ``gramian`` ``[T, T]``.

    NaN where one of the two is zero: nothing can be said of its direction. That is the rule everywhere in Accord.
    """
    norms = gramian.diagonal().sqrt()
    lengths = torch.where(norms > 0, norms, torch.nan)
    return (gramian / lengths[:, None] / lengths).clamp(-1, 1)


def condition_number(gramian: Tensor) -> float:
    """Return the largest over the smallest singular value of the Jacobian behind ``gramian`` ``[T, T]``.

    1 where all gradients are orthogonal and of one length; large where they differ in length, are nearly alike or
    nearly cancel; infinite where they are dependent as far as single precision tells, NaN where all are zero. Gradients
    of zero do not count: a task that is absent is no defect of the others. Source: Senushkin et al., Independent
    Component Alignment for Multi-Task Learning, 2023. Cost O(T^3) on the CPU.
    """
    used = gramian.diagonal() > 0
    part = gramian[used][:, used].to("cpu", torch.float64)
    if not len(part):
        return float("nan")
    # Lengths alone never make gradients dependent, however much they differ: that is for the cosines to say.
    if float(torch.linalg.eigvalsh(cosines(part))[0]) <= len(part) * torch.finfo(torch.float32).eps:
        return float("inf")
    values = torch.linalg.eigvalsh(part / part.diagonal().max())
    smallest = float(values[0])
    return (float(values[-1]) / smallest) ** 0.5 if smallest > 0 else float("inf")


def dominance(gramian: Tensor) -> Tensor:
    """Return each task's share ``[T]`` of the gradients' summed lengths: ``1/T`` each when balanced, 1 for a tyrant.

    All 0 where all gradients are.
    """
    norms = gramian.diagonal().sqrt()
    total = norms.sum()
    return norms / total if total > 0 else torch.zeros_like(norms)


def effective_rates(gramian: Tensor, weights: Tensor, learning_rate: float = 1.0) -> Tensor:
    """Return ``[T]``, the learning rate at which each task's gradient enters the update ``d = sum_t w_t g_t``.

    That is ``learning_rate * w_t |g_t| / |d|``: how far the step goes along task t's own gradient, for every unit that
    it goes at all. Tasks that agree share the learning rate out; where tasks conflict, parts cancel and the rates add
    up to more. NaN where the update is zero.

    Args:
        gramian: ``[T, T]`` inner products of the gradients.
        weights: ``[T]`` on the gradients.
        learning_rate: of the optimiser; 1 gives shares of the update.
    """
    scale = gramian.diagonal().max().sqrt()
    parts = weights.to(gramian) * gramian.diagonal().sqrt() / scale
    alignment = torch.nan_to_num(cosines(gramian))
    length = (parts @ alignment @ parts).clamp_min(0).sqrt()
    return learning_rate * parts / torch.where(length > 1e-6 * parts.abs().sum(), length, torch.nan)


class Conflict:
    """Mixin of what has a Gramian and weights; ``None`` where there is none to ask."""

    __slots__ = ()
    gramian: Tensor | None
    weights: Tensor | None

    def cosines(self) -> Tensor | None:
        """Return the cosines ``[T, T]`` between the tasks' gradients, see :func:`cosines`."""
        return None if self.gramian is None else cosines(self.gramian)

    def condition_number(self) -> float | None:
        """Return the condition number of the tasks' gradients, see :func:`condition_number`."""
        return None if self.gramian is None else condition_number(self.gramian)

    def dominance(self) -> Tensor | None:
        """Return each task's share ``[T]`` of the gradients' summed lengths, see :func:`dominance`."""
        return None if self.gramian is None else dominance(self.gramian)

    def effective_rates(self, learning_rate: float = 1.0) -> Tensor | None:
        """Return the learning rate ``[T]`` of each task's own gradient, see :func:`effective_rates`."""
        if self.gramian is None or self.weights is None:
            return None
        return effective_rates(self.gramian, self.weights, learning_rate)
