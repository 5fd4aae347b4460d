"""CoBa: weights that let all tasks converge on held-out data at the same time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.share import check_tasks, share


class CoBa(DirectWeighting):
    """Weight by the slopes of the validation losses: slow tasks gain while all converge, diverging ones lose.

    The slope ``a_i`` is that of a line through the last ``history`` values of ``L_i / L_i(0)``. Three scores follow,
    with t the number of slopes so far: the relative ``softmax_i(T a_i / sum_j |a_j|)``, which favours slow tasks; the
    absolute ``softmax_i(-N a_i / sum_{last N} |a_i|)``, which favours those that converge better than they used to;
    and the divergence factor ``d = min(1, t softmax_t(-tau t b / sum |b|))`` of the largest slope ``b = max_i a_i``,
    which falls when the worst task turns upwards. The weights are ``d`` times the first score plus ``1 - d`` times the
    second.

    Validation losses come through :meth:`observe`, per step in the paper (from one small validation batch), or through
    :meth:`end_epoch`, which ``accord fit`` calls. During the first ``warmup`` observations all weights are ``1/T``.

    Shapes: losses ``[T]`` -> weights ``[T]``, positive, summing to 1. Cost: one backward, and what validation costs.

    Args:
        warmup: observations before the weights move, at least 2; the paper takes the number of validation batches.
        history: N, observations a slope is fitted to, at least 2; the paper takes 2 to 5 times the warm-up.
        tau: sharpness of the divergence factor, above 0.

    With one observation per epoch the defaults would wait for a hundred epochs: take ``warmup=2, history=5`` there.

    Source: Gong et al., CoBa: Convergence Balancer for Multitask Finetuning of Large Language Models, 2024, the balance
    of convergence in the code of MFTCoder (2024). Warm-up 100, history 200 and tau 5 are the code's. It takes ``b`` as
    the slope of the largest loss, does not cut ``d`` at 1, and sharpens the result by another softmax over a floor of
    ``1 / (10 T)``; here it is the paper's formula. Losses are expected to be positive: a task that began at or below 0
    has slope 0. A task without validation loss keeps its last slope.
    """

    method: ClassVar[Method] = Method(
        title="CoBa",
        paper="CoBa: Convergence Balancer for Multitask Finetuning of Large Language Models",
        year=2024,
        url="https://arxiv.org/abs/2410.06741",
        needs="losses",
        cost="1 backward + validation",
        catalogue=(293,),
    )
    first: Tensor
    ratios: Tensor
    slopes: Tensor
    worst: Tensor
    seen: Tensor
    scores: Tensor

    def __init__(self, warmup: int = 100, history: int = 200, tau: float = 5.0) -> None:
        super().__init__()
        if min(warmup, history) < 2:
            raise ConfigurationError(f"a slope takes 2 observations at least; got warmup={warmup}, history={history}")
        if not 0.0 < tau < math.inf:
            raise ConfigurationError(f"tau must be a finite number above 0; got {tau}")
        self.warmup = warmup
        self.history = history
        self.tau = tau
        self.register_load_state_dict_pre_hook(_take_lengths)
        self.register_buffer("first", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("ratios", torch.zeros(0, 0, dtype=torch.float64))
        self.register_buffer("slopes", torch.zeros(0, 0, dtype=torch.float64))
        self.register_buffer("worst", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("scores", torch.zeros(0, dtype=torch.float64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        if not self.scores.numel():
            return share(torch.ones_like(losses, dtype=torch.float64), losses, active)
        check_tasks(len(self.scores), losses, "CoBa")
        return share(self.scores, losses, active)

    def end_epoch(self, *, validation: Tensor, train: Tensor | None = None) -> None:
        """Learn the validation losses of an epoch, as :meth:`observe`."""
        self.observe(validation)

    def observe(self, validation: Tensor) -> None:
        """Learn the tasks' validation losses ``[T]`` of this moment; NaN where a task has none."""
        found = validation.detach().to(self.first)
        if not self.first.numel():
            self.first = torch.full_like(found, math.nan)
            self.ratios = self.ratios.new_zeros(0, len(found))
            self.slopes = self.slopes.new_zeros(0, len(found))
        check_tasks(len(self.first), validation, "CoBa")
        self.first = torch.where(self.first.isnan() & found.isfinite(), found, self.first)
        known = found.isfinite() & (self.first > 0)
        ratio = torch.where(known, found / self.first, torch.nan)
        self.ratios = torch.cat([self.ratios, ratio[None]])[-self.history :]
        self.seen += 1
        if int(self.seen) >= self.warmup:
            self.scores = self._score(self._slopes())

    def _slopes(self) -> Tensor:
        """Return the slope ``[T]`` of each task's line; its last one where fewer than two values are known."""
        known = self.ratios.isfinite()
        count = known.sum(dim=0).clamp(min=1)
        steps = torch.arange(len(self.ratios), dtype=torch.float64, device=self.ratios.device)[:, None].expand_as(known)
        values = torch.where(known, self.ratios, 0.0)
        offset = torch.where(known, steps - (steps * known).sum(dim=0) / count, 0.0)
        slope = (offset * values).sum(dim=0) / offset.square().sum(dim=0)
        before = self.slopes[-1] if len(self.slopes) else torch.zeros_like(slope)
        return torch.where(known.sum(dim=0) >= 2, slope, before)

    def _score(self, slope: Tensor) -> Tensor:
        self.slopes = torch.cat([self.slopes, slope[None]])[-self.history :]
        self.worst = torch.cat([self.worst, slope.max()[None]])
        relative = torch.softmax(_relative(slope, len(slope)), dim=0)
        absolute = torch.softmax(-_relative(self.slopes, len(self.slopes))[-1], dim=0)
        steps = len(self.worst)
        factor = steps * torch.softmax(-self.tau * _relative(self.worst, steps), dim=0)[-1]
        factor = factor.clamp(max=1.0)
        return factor * relative + (1 - factor) * absolute

    def extra_repr(self) -> str:
        return f"warmup={self.warmup}, history={self.history}, tau={self.tau}"


def _take_lengths(module: nn.Module, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Let what grows with the observations have the length it has in the state, before or behind where it is now."""
    for name in ("ratios", "slopes", "worst"):
        saved = state_dict.get(prefix + name)
        if isinstance(saved, Tensor):
            setattr(module, name, torch.zeros_like(saved, device=getattr(module, name).device))


def _relative(slopes: Tensor, count: int) -> Tensor:
    """Return slopes in units of their mean size along the first dimension, 0 where all are 0."""
    size = slopes.abs().sum(dim=0)
    return torch.where(size > 0, count * slopes / size, torch.zeros_like(slopes))
