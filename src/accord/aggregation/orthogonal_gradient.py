"""One task leads; the others move it only sideways."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import StatelessGramianAggregator
from accord.errors import ConfigurationError
from accord.method import Method


class OrthogonalGradient(StatelessGramianAggregator):
    """Follow the first task's gradient, and of the others' what is orthogonal to it: nothing else can slow it down.

    ``d = g_1 + eta / (T - 1) sum_j (g_j - <g_j, g_1> / |g_1|^2 g_1)`` over the tasks ``j > 1``. The projection is taken
    whether a gradient conflicts or not, so that to first order the first loss falls exactly as if it were alone,
    and the others neither speed it up nor slow it down. In a step without it, the first task that is there leads.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``. Cost O(T) after the Gramian.

    Args:
        eta: weight of the others together, 0 or more.

    Source: Mao et al., ODICE: Revealing the Mystery of Distribution Correction Estimation via Orthogonal-gradient
    Update, 2024, for two terms: a forward gradient that leads and a backward one (eta 1, the default of the authors'
    code; the paper tunes it). With more than two, each is projected on the complement of the first alone, and
    ``eta`` weighs their mean. Where the first gradient is 0 there is nothing to give way to (the authors' code
    bounds ``|g_1|^2`` by 1e-10 from below, which is not small for small gradients).
    """

    method: ClassVar[Method] = Method(
        title="Orthogonal-gradient update",
        paper="ODICE: Revealing the Mystery of Distribution Correction Estimation via Orthogonal-gradient Update",
        year=2024,
        url="https://arxiv.org/abs/2402.00348",
        needs="gramian",
        cost="T backwards + O(T P)",
        catalogue=(508,),
    )

    def __init__(self, eta: float = 1.0) -> None:
        super().__init__()
        if not 0.0 <= eta < math.inf:
            raise ConfigurationError(f"eta must be a finite number of at least 0; got {eta}")
        self.eta = eta

    def solve(self, gramian: Tensor) -> Tensor:
        weights = torch.full((len(gramian),), self.eta / max(len(gramian) - 1, 1), dtype=torch.float64)
        along = gramian[0, 1:] / gramian[0, 0] if gramian[0, 0] > 0 else torch.zeros_like(gramian[0, 1:])
        weights[0] = 1.0 - (weights[1:] * along).sum()
        return weights

    def extra_repr(self) -> str:
        return f"eta={self.eta}"
