"""GradNorm: weights that bring the gradients' norms, and so the tasks' rates of training, into balance."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import DirectWeighting, check_finite
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.adam import adam
from accord.weighting.share import check_tasks, observed, share

# No step of the weights may take a task out of training, or turn it round.
FLOOR = 1e-3


class GradNorm(DirectWeighting):
    """Learn weights under which tasks that lag behind have larger gradients.

    With weights ``w`` (summing to T), norms ``n_i = |g_i|`` of the losses' gradients at the chosen parameters and
    relative inverse training rates ``r_i = (L_i / L_i(0)) / mean_j (L_j / L_j(0))``, the weights descend
    ``sum_i |w_i n_i - c_i|`` with ``c_i = mean_j(w_j n_j) r_i^alpha`` held constant, and are then renormalised. The
    weights returned by a step are those it began with, divided by T.

    Shapes: losses ``[T]``, Gramian ``[T, T]`` of the unweighted losses' gradients -> weights ``[T]``, positive, summing
    to 1. Cost: T backwards down to the chosen parameters (the last shared layer, in the paper) and one ordinary
    backward.

    Args:
        alpha: strength with which training rates are pulled together; 0 equalises gradient norms.
        lr: learning rate of the weights.

    Source: Chen et al., GradNorm, 2018 (alpha 1.5, its value for NYUv2; learning rate 0.025). The paper does not name
    the weights' optimiser; Adam is used, so that a step does not depend on the gradients' scale. Initial losses are
    those of the first step a task takes part in. Weights are held above 0.001, before they are renormalised. Known
    defects of other implementations, none of which is here: balancing at the first shared parameter (an embedding
    table) instead of the last; weights that live in no checkpoint; initial losses taken again at every start; a first
    step that fails. Losses are expected to be positive, and a negative one raises.
    """

    method: ClassVar[Method] = Method(
        title="GradNorm",
        paper="GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask Networks",
        year=2018,
        url="https://arxiv.org/abs/1711.02257",
        needs="gramian",
        cost="T backwards to one layer + 1 backward",
        catalogue=(147,),
    )
    weights: Tensor
    initial: Tensor
    moments: Tensor
    updates: Tensor

    def __init__(self, alpha: float = 1.5, lr: float = 0.025) -> None:
        super().__init__()
        if not 0.0 <= alpha < math.inf:
            raise ConfigurationError(f"alpha must be a finite number of at least 0; got {alpha}")
        if not 0.0 < lr < math.inf:
            raise ConfigurationError(f"lr must be a finite number above 0; got {lr}")
        self.alpha = alpha
        self.lr = lr
        self.register_buffer("weights", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("initial", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("moments", torch.zeros(2, 0, dtype=torch.float64))
        self.register_buffer("updates", torch.zeros(0, dtype=torch.float64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        if gramian is None:
            raise ConfigurationError(
                "GradNorm needs the Gramian of the gradients: call accord.backward(losses, shared=..., balancer=...), "
                "or pass gramian=, a tensor [T, T]"
            )
        if not self.weights.numel():
            self._begin(len(losses))
        check_tasks(len(self.weights), losses, "GradNorm")
        values, mask = observed(losses, active, self.weights)
        kept = mask.nonzero().squeeze(1).to(gramian.device)
        check_finite(gramian.detach()[kept][:, kept], kept)
        chosen = share(self.weights, losses, active)
        if mask.any():
            norms = gramian.detach().diagonal().to(self.weights).clamp(min=0.0).sqrt()
            self._learn(norms[mask], self._rates(values, mask), mask)
        return chosen

    def _begin(self, tasks: int) -> None:
        self.weights = self.weights.new_ones(tasks)
        self.initial = self.initial.new_full((tasks,), math.nan)
        self.moments = self.moments.new_zeros(2, tasks)
        self.updates = self.updates.new_zeros(tasks)

    def _rates(self, losses: Tensor, mask: Tensor) -> Tensor:
        """Return the relative inverse training rates of the active tasks, and note the losses they began with."""
        if bool((losses < 0).any()):
            raise ConfigurationError(
                f"GradNorm compares losses with those training began with, so they must not be negative; got "
                f"{losses.tolist()}. Add a constant to the loss, or choose a weighting that does not look at losses."
            )
        self.initial = torch.where(mask & self.initial.isnan(), losses, self.initial)
        # A task that began at 0 has nothing left to train.
        ratios = torch.where(self.initial > 0, losses / self.initial, torch.ones_like(losses))[mask]
        mean = ratios.mean()
        return ratios / mean if bool(mean > 0) else torch.ones_like(ratios)

    def _learn(self, norms: Tensor, rates: Tensor, mask: Tensor) -> None:
        """Take one step of Adam on the weights of the active tasks, whose sum stays as it is."""
        weights = self.weights[mask]
        weighted = weights * norms
        mean = weighted.mean()
        if not bool(mean > 0):
            return
        slope = torch.sign(weighted - mean * rates**self.alpha) * norms / mean
        moved = (weights - self.lr * adam(slope, mask, self.moments, self.updates)).clamp(min=FLOOR)
        self.weights[mask] = moved * (weights.sum() / moved.sum())

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}, lr={self.lr}"
