"""The worst of the weighted objectives, smoothly."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.method import Method
from accord.pareto.scalarisation import Scalarisation, positive, weighted


class SmoothTchebycheffScalarisation(Scalarisation):
    """``mu log sum_i exp(w_i f_i / mu)``: Tchebycheff's maximum, made smooth, at most ``mu log m`` above it.

    Every Pareto optimal point is the solution of some preference for a ``mu`` small enough, and every solution is
    weakly Pareto optimal.

    Args:
        mu: above 0; smaller is closer to the maximum and harder to descend.
        inverse: as in :class:`TchebycheffScalarisation`.

    Source: Lin et al., Smooth Tchebycheff Scalarization for Multi-Objective Optimization, 2024 (mu 0.1).
    """

    method: ClassVar[Method] = Method(
        title="Smooth Tchebycheff scalarisation",
        paper="Smooth Tchebycheff Scalarization for Multi-Objective Optimization",
        year=2024,
        url="https://arxiv.org/abs/2402.19078",
        needs="losses",
        cost="one backward",
    )

    def __init__(self, mu: float = 0.1, inverse: bool = False) -> None:
        super().__init__()
        self.mu, self.inverse = positive("mu", mu), inverse

    def forward(self, objectives: Tensor, preference: Tensor) -> Tensor:
        return self.mu * torch.logsumexp(weighted(objectives, preference, self.inverse) / self.mu, dim=-1)

    def extra_repr(self) -> str:
        return f"mu={self.mu}, inverse={self.inverse}"
