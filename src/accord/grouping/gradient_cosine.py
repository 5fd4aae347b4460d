"""Tasks whose gradients point the same way through training."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.grouping.affinity import Affinity, Evidence
from accord.method import Method


class GradientCosine(Affinity):
    """Mean cosine between the gradients of two tasks over all the moments it was shown.

    ``A_ij = mean_t cos(g_i(t), g_j(t))`` in [-1, 1], the same in both directions; 0 is neutral: to first order neither
    task's step changes the other's loss. Moments at which a task has no gradient, or none that is finite, do not count
    for its pairs::

        affinity = accord.grouping.GradientCosine(tasks=3)
        affinity.observe(gramian=accord.gramian(losses, shared))   # every now and then through training
        affinity.matrix()

    Shapes: Gramian ``[T, T]`` in, ``[T, T]`` out. Cost: T backwards per moment, O(T^2) memory.

    Source: the similarity that Wang et al., Gradient Vaccine, 2020, follow through training; as a criterion of grouping
    it is a baseline of Fifty et al., 2021. Averaging cosines rather than inner products keeps early steps, whose
    gradients are long, from deciding alone.
    """

    method: ClassVar[Method] = Method(
        title="Gradient cosine",
        paper="Gradient Vaccine: Investigating and Improving Multi-task Optimization in Massively Multilingual Models",
        year=2020,
        url="https://arxiv.org/abs/2010.05874",
        needs="gramian",
        cost="T backwards per moment",
    )
    hears = ("gramian",)
    total: Tensor
    count: Tensor

    def __init__(self, tasks: int) -> None:
        super().__init__(tasks)
        self.register_buffer("total", torch.zeros(tasks, tasks, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(tasks, tasks, dtype=torch.float64))

    def learn(self, evidence: Evidence) -> None:
        gramian = evidence.gramian
        assert gramian is not None
        lengths = gramian.diagonal().clamp_min(0).sqrt()
        # One division after the other: the product of two short lengths may be 0 in float64.
        cosine = (gramian / lengths[:, None] / lengths[None, :]).clamp(-1, 1)
        known = cosine.isfinite()
        self.total += torch.where(known, cosine, 0.0)
        self.count += known

    def matrix(self) -> Tensor:
        if not self.count.any():
            raise self.unseen()
        return torch.where(self.count > 0, self.total / self.count, torch.nan)
