"""Correlation-reduced stochastic multi-objective gradient manipulation: another method's weights, smoothed in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from accord.aggregation.shares import weight_dtype
from accord.balancer import GramianAggregator
from accord.errors import ConfigurationError
from accord.method import Method
from accord.registry import build


class CRMOGM(GramianAggregator):
    """Average the weights of another aggregator over the steps: ``w_k = alpha w_{k-1} + (1 - alpha) v_k``.

    Weights that are decided on a batch's gradients correlate with that batch's noise, so that their mixture is biased
    however small the step; smoothed ones depend on the last batch little. It turns any aggregator with weights into
    one that follows the batches more calmly. The first step takes ``v_1`` as it is.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``. Cost: that of the other method. State: ``w``,
    and that of the other method.

    Args:
        aggregator: the method that decides ``v_k``: an instance, or a registry name. Not one that needs the Jacobian.
        alpha: in [0, 1), how much of the average a step keeps. It may be set between steps: the paper's theory wants
            ``1 - alpha`` to fall with the learning rate.
        options: the constructor's arguments where ``aggregator`` is a name.

    Source: Zhou et al., On the Convergence of Stochastic Multi-Objective Gradient Manipulation and Beyond, 2022, which
    smooths MGDA, PCGrad and CAGrad; it gives ``alpha`` as a schedule and no one number, and no official code is public
    (0.9 as in a peer). Weights are remembered in units of an even share, ``1/n`` for ``n`` active tasks. Where some are
    absent, those that are there divide among themselves what as many have on average, in the ratios they had, and the
    absent ones keep theirs; a task that is seen for the first time counts as an average one.
    """

    method: ClassVar[Method] = Method(
        title="CR-MOGM",
        paper="On the Convergence of Stochastic Multi-Objective Gradient Manipulation and Beyond",
        year=2022,
        url="https://proceedings.neurips.cc/paper_files/paper/2022/hash/f91bd64a3620aad8e70a27ad9cb3ca57-Abstract-Conference.html",
        needs="gramian",
        cost="that of the smoothed method + O(T)",
    )
    average: Tensor
    seen: Tensor

    def __init__(
        self,
        aggregator: GramianAggregator | str = "mgda",
        alpha: float = 0.9,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if not 0.0 <= alpha < 1.0:
            raise ConfigurationError(f"alpha must lie in [0, 1), 0.9 for one; got {alpha}")
        if options and not isinstance(aggregator, str):
            raise ConfigurationError("options are for an aggregator given by name; this one is made already")
        inner = build(aggregator, options, rooms=("aggregation",)) if isinstance(aggregator, str) else aggregator
        if not isinstance(inner, GramianAggregator) or inner.heads != "mean":
            name = aggregator if isinstance(aggregator, str) else type(aggregator).__name__
            raise ConfigurationError(
                f"CRMOGM smooths weights on the common scale, and {name} has none: "
                "pass e.g. 'mgda', 'cagrad' or 'pcgrad'"
            )
        self.aggregator = inner
        self.alpha = alpha
        self.register_buffer("average", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros(0, dtype=torch.bool))

    def weights(self, gramian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        tasks = len(gramian)
        if len(self.average) not in (0, tasks):
            raise ConfigurationError(
                f"CRMOGM is set up for {len(self.average)} tasks but was given {tasks}; "
                "always show it the same tasks, and those that are absent with active="
            )
        decided = self.aggregator.weights(gramian.double(), losses=losses, active=active)
        if not self.average.numel():
            self.average, self.seen = torch.zeros_like(decided), torch.zeros_like(decided, dtype=torch.bool)
        kept = torch.ones_like(self.seen) if active is None else active.to(self.seen.device)
        even = kept.sum().clamp(min=1)  # an even share is 1 / even
        share = decided.to(self.average.device) * even
        smooth = self._smoothed(share, kept, even)
        self.seen = self.seen | kept
        weights = torch.where(kept, smooth, 0.0) / even
        return weights.to(gramian.device, weight_dtype(gramian))

    def _smoothed(self, share: Tensor, kept: Tensor, even: Tensor) -> Tensor:
        """Return the new weights ``[T]`` of the tasks in ``kept`` in units of an even share, and remember them."""
        known = bool(self.seen.any())
        level = self.average[self.seen].abs().mean() if known else share[kept].abs().sum() / even
        before = torch.where(self.seen, self.average, level) if known else share
        # What those that are here had together, as a part of what as many have on average.
        part = before[kept].abs().sum() / (level * even) if bool(level > 0) else torch.ones_like(level)
        before = before / part if bool(part > 0) else torch.full_like(before, float(level))
        smooth = self.alpha * before + (1 - self.alpha) * share
        self.average = torch.where(kept, smooth * part, self.average)
        return smooth

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"
