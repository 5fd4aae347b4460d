"""Prospect: the spectral risk of many losses, by steps that see only some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.jacobian_aggregator import JacobianAggregator, Present
from accord.aggregation.remembered import remember
from accord.linalg.spectral import Penalty, Risk, Spectrum
from accord.method import Method


class Prospect(JacobianAggregator):
    """Descend ``max_q q @ L - shift D(q | 1/n)`` over all n objectives while each step samples a few.

    Tables hold every objective's last loss ``l_j``, gradient ``g_j`` and weight ``r_j``. With the weights ``q`` of the
    losses in the table (see :class:`~accord.weighting.SpectralRisk`) and the sampled objectives S, the direction is
    ``sum_j r_j g_j + n/|S| sum_{i in S} (q_i grad L_i - r_i g_i)``: unbiased for the tables' risk, and with a variance
    that vanishes as training converges. The active tasks of a step are the sampled ones; they need not be the same
    number each time. Where all are active it is the plain slope of the risk.

    Shapes: Jacobian ``[n, P]`` -> ``[P]``. Cost O(n P). State: n P numbers. Without ``losses=`` all count alike.

    Args:
        spectrum: as in :class:`~accord.weighting.SpectralRisk`.
        level: of a named spectrum.
        shift: price of uneven weights, in the unit of the losses. The smaller, the faster weights turn, and
            the smaller the learning rate has to be for tables to keep up; at 0 they jump.
        penalty: ``"chi2"`` or ``"kl"``.

    Source: Mehta et al., Distributionally Robust Optimization with Bias and Variance Reduction, 2024. The
    paper fills its tables by a full pass before the first step; here an objective counts from when it was first seen.
    It draws the entry to refresh apart from the one that steps, which its proof needs; here, as in the authors' code,
    it is the same one. Its proximal step for an l2 term is the optimiser's weight decay. It knows no heads: parameters
    of one objective alone descend the mean loss, as under every aggregator; list them in ``shared`` if they are to
    descend the risk.
    """

    method: ClassVar[Method] = Method(
        title="Prospect",
        paper="Distributionally Robust Optimization with Bias and Variance Reduction",
        year=2024,
        url="https://arxiv.org/abs/2310.13863",
        needs="jacobian",
        cost="1 backward per sampled objective, and n P numbers of state",
        catalogue=(457,),
    )
    gradients: Tensor
    losses: Tensor
    shares: Tensor

    def __init__(
        self,
        spectrum: Spectrum | Sequence[float] = "cvar",
        level: float | None = None,
        shift: float = 1.0,
        penalty: Penalty = "chi2",
    ) -> None:
        super().__init__()
        self.risk = Risk.read(spectrum, level, shift, penalty, "Prospect")
        self.register_buffer("gradients", torch.zeros(0, 0))
        # NaN where an objective was never seen.
        self.register_buffer("losses", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("shares", torch.zeros(0, dtype=torch.float64))

    def combine(self, rows: Tensor, present: Present) -> Tensor:
        kept = present.kept
        self.gradients = remember(self.gradients, rows, present.tasks, "Prospect")
        if not self.losses.numel():
            self.losses = self.losses.new_full((present.tasks,), np.nan)
            self.shares = self.shares.new_zeros(present.tasks)
        who = kept.to(self.losses.device)
        now = self.losses.clone()
        now[who] = 0.0 if present.losses is None else present.losses.to(now)
        every = int((~now.isnan()).sum())
        if len(kept) == every:
            weights = self._weigh(now)
            direction = weights[who].to(rows) @ rows
        else:
            # Weights of the losses as they were, so that they know nothing of which objectives were drawn.
            weights = self._weigh(torch.where(self.losses.isnan(), now, self.losses))
            correction = weights[who].to(rows) @ rows - self.shares[who].to(rows) @ self.gradients[kept]
            direction = self.shares.to(rows) @ self.gradients + (every / len(kept)) * correction
        self.losses, self.gradients[kept], self.shares[who] = now, rows, weights[who]
        return direction

    def _weigh(self, losses: Tensor) -> Tensor:
        """Return the risk's weights ``[n]`` for losses ``[n]``, 0 where one was never seen."""
        known = ~losses.isnan()
        weights = torch.zeros_like(losses)
        weights[known] = torch.from_numpy(self.risk.weights(losses[known].cpu().numpy())).to(weights)
        return weights

    def extra_repr(self) -> str:
        return repr(self.risk)
