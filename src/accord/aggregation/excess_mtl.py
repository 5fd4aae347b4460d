"""Robust weights from the tasks' excess risks."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from accord.aggregation.jacobian_aggregator import JacobianAggregator, Present
from accord.aggregation.remembered import remember
from accord.balancer import HeadWeights
from accord.errors import ConfigurationError
from accord.method import Method


class ExcessMTL(JacobianAggregator, HeadWeights):
    """Weight the tasks by how far they are from the best they could do: ``w_i`` grows with ``exp(eta e_i)``.

    A task's excess risk, its loss above what is irreducible, is estimated from curvature: ``e_i = g_i' H_i^-1 g_i``
    with ``H_i`` the diagonal ``sqrt(sum of g_i^2 over the steps so far)``, as in Adagrad, in units of its first value.
    Every step multiplies ``w_i`` by ``exp(eta e_i)``, normalises, and takes ``sum_i w_i g_i``. A noisy task, whose loss
    stays high for good, then does not draw weight as it does where losses themselves are compared. The first step
    averages. Heads descend the weighted loss ``sum_i w_i L_i``, too.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``. Cost O(T P). State: the sums ``[T, P]``, as large as the Jacobian.

    Args:
        eta: step of the weights, above 0.

    Source: He et al., Robust Multi-Task Learning with Excess Risks, 2024 (eta 0.01, as in the authors' code; like it,
    excess risks are divided by those of the task's first step). That code's weights sum to T, here to 1, the common
    scale. A coordinate whose gradients were all 0 has no curvature and adds nothing (peers add 1e-7
    under the root, which is not small for small gradients); a task whose first gradient is 0 takes its unit from its
    first other one. Absent tasks keep their sum and their share of the weight.
    """

    method: ClassVar[Method] = Method(
        title="ExcessMTL",
        paper="Robust Multi-Task Learning with Excess Risks",
        year=2024,
        url="https://arxiv.org/abs/2402.02009",
        needs="jacobian",
        cost="T backwards + O(T P), and T P numbers of state",
    )
    squares: Tensor
    peaks: Tensor
    initial: Tensor
    logits: Tensor

    def __init__(self, eta: float = 0.01) -> None:
        super().__init__()
        if not 0.0 < eta < math.inf:
            raise ConfigurationError(f"eta must be a finite number above 0, 0.01 for one; got {eta}")
        self.eta = eta
        # Sums of squares in units of the task's first largest entry, and that entry: squares of tiny or huge gradients
        # would leave the range of single precision.
        self.register_buffer("squares", torch.zeros(0, 0))
        self.register_buffer("peaks", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("initial", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("logits", torch.zeros(0, dtype=torch.float64))

    def combine(self, rows: Tensor, present: Present) -> Tensor:
        kept, tasks = present.kept, present.tasks
        self.squares = remember(self.squares, rows, tasks, "ExcessMTL")
        if not self.logits.numel():
            self.peaks, self.initial, self.logits = (
                torch.zeros(tasks, dtype=torch.float64, device=rows.device) for _ in range(3)
            )
        excess = self._excess(rows, kept)
        first = self.initial[kept] == 0
        relative = torch.where(first, torch.zeros_like(excess), excess / self.initial[kept].clamp(min=1e-300))
        self.initial[kept] = torch.where(first, excess, self.initial[kept])
        before = self.logits[kept]
        after = before + self.eta * relative
        # What the tasks hold together stays, or absent ones would lose weight by being absent.
        self.logits[kept] = after + (before.logsumexp(dim=0) - after.logsumexp(dim=0))
        return torch.softmax(after, dim=0).to(rows) @ rows

    def head_weights(self, losses: Tensor, *, active: Tensor) -> Tensor:
        kept = active.to(self.logits.device)
        # A step that no task took part in may be the first, before there are weights.
        weights = self.logits.masked_fill(~kept, -torch.inf).softmax(dim=0) if kept.any() else torch.zeros_like(losses)
        return weights.to(losses)

    def _excess(self, rows: Tensor, kept: Tensor) -> Tensor:
        """Add the squares of this step and return the excess risks ``[n]``, each in its task's unit."""
        peaks = rows.abs().amax(dim=1).double()
        self.peaks[kept] = torch.where(self.peaks[kept] == 0, peaks, self.peaks[kept])
        unit = torch.where(self.peaks[kept] > 0, self.peaks[kept], torch.ones_like(peaks))
        scaled = (rows / unit[:, None].to(rows)).to(rows)
        self.squares[kept] = self.squares[kept] + scaled**2
        curvature = self.squares[kept].sqrt()
        terms = torch.where(curvature > 0, scaled**2 / curvature.clamp(min=torch.finfo(rows.dtype).tiny), 0.0)
        return terms.sum(dim=1).double()

    def extra_repr(self) -> str:
        return f"eta={self.eta}"
