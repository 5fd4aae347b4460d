"""Hedge: multiplicative weights over many heads, with a floor under each."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.share import check_tasks, observed, share


class Hedge(DirectWeighting):
    """Trust the heads that have been right: ``a_i <- a_i beta^{L_i}``, then ``max(a_i, s / T)``, then summing to 1.

    Meant for heads that predict the same thing at different depths, where the model predicts with the ``a``-weighted
    sum of its heads: read ``balancer.trust`` for that. A step weighs its losses by the ``a`` that it began with. Tasks
    of their own right are another matter: the harder one would be given up down to the floor.

    Shapes: losses ``[T]``, not negative and best about 1 at most -> weights ``[T]``, positive, summing to 1. Cost: one
    backward.

    Args:
        beta: discount per unit of loss, in (0, 1).
        floor: ``s``, in [0, 1): the share of the weight that is spread evenly at least, so that no head is lost.

    Source: Sahoo et al., Online Deep Learning: Learning Deep Neural Networks on the Fly, 2018 (Hedge Backpropagation;
    beta 0.99, s 0.2). The floor comes before the weights are brought to sum 1, as in the paper's algorithm, so that a
    head may hold slightly less than ``s / T``, and losses so large that every weight falls to it end in equal weights.
    """

    method: ClassVar[Method] = Method(
        title="Hedge",
        paper="Online Deep Learning: Learning Deep Neural Networks on the Fly",
        year=2018,
        url="https://arxiv.org/abs/1711.03705",
        needs="losses",
        cost="1 backward",
        catalogue=(717,),
    )
    trust: Tensor

    def __init__(self, beta: float = 0.99, floor: float = 0.2) -> None:
        super().__init__()
        if not 0.0 < beta < 1.0:
            raise ConfigurationError(f"beta must lie between 0 and 1; got {beta}")
        if not 0.0 <= floor < 1.0:
            raise ConfigurationError(f"floor must be at least 0 and below 1; got {floor}")
        self.beta = beta
        self.floor = floor
        self.register_buffer("trust", torch.zeros(0, dtype=torch.float64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        if not self.trust.numel():
            self.trust = self.trust.new_full((len(losses),), 1.0 / len(losses))
        check_tasks(len(self.trust), losses, "Hedge")
        values, mask = observed(losses, active, self.trust)
        if bool((values < 0).any()):
            raise ConfigurationError(
                f"Hedge rewards small losses, so none may be negative; got {losses.tolist()}. Add a constant to each."
            )
        weights = share(self.trust, losses, active)
        if bool(mask.any()):
            self._learn(values[mask], mask)
        return weights

    def _learn(self, losses: Tensor, mask: Tensor) -> None:
        """Update the trust in the active heads, which keep their sum."""
        held = self.trust[mask]
        moved = (held * self.beta**losses).clamp(min=self.floor / len(self.trust))
        # Without a floor all can underflow together, which says nothing about any of them.
        self.trust[mask] = moved * (held.sum() / moved.sum()) if bool(moved.sum() > 0) else held

    def extra_repr(self) -> str:
        return f"beta={self.beta}, floor={self.floor}"
