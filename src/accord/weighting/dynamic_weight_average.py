"""Dynamic weight average: more weight to the losses that fall slowly."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.share import check_tasks, observed, share


class DynamicWeightAverage(DirectWeighting):
    """Weight each loss by how slowly it fell between the last two epochs: ``w = softmax(r / temperature)``.

    ``r_i`` is the mean loss of task ``i`` over the last epoch divided by that over the epoch before. For the first two
    epochs all weights are ``1/T``. Every call adds its losses to the running epoch, which ends when :meth:`end_epoch`
    is called (``accord fit`` does so) or, given ``window``, by itself after that many calls.

    Shapes: losses ``[T]`` -> weights ``[T]``, positive, summing to 1. Cost: one backward.

    Args:
        temperature: above 0; larger is more even.
        window: calls per epoch; ``None`` waits for :meth:`end_epoch`.

    Source: Liu et al., End-to-End Multi-Task Learning with Attention, 2019 (temperature 2). The paper's weights sum to
    T; here to 1, the common scale. A task that no step of an epoch contained keeps the ratio it had. Losses are
    expected to be positive: the ratio of a task whose earlier mean is not is taken as 1.
    """

    method: ClassVar[Method] = Method(
        title="DWA",
        paper="End-to-End Multi-Task Learning with Attention",
        year=2019,
        url="https://arxiv.org/abs/1803.10704",
        needs="losses",
        cost="1 backward",
    )
    total: Tensor
    count: Tensor
    means: Tensor
    calls: Tensor

    def __init__(self, temperature: float = 2.0, window: int | None = None) -> None:
        super().__init__()
        if not 0.0 < temperature < math.inf:
            raise ConfigurationError(f"temperature must be a finite number above 0; got {temperature}")
        if window is not None and window < 1:
            raise ConfigurationError(f"window must be at least 1 call, or None to wait for end_epoch(); got {window}")
        self.temperature = temperature
        self.window = window
        self.register_buffer("total", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(0, dtype=torch.float64))
        # Means of the last two epochs that saw the task, the older one first.
        self.register_buffer("means", torch.zeros(2, 0, dtype=torch.float64))
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        if not self.total.numel():
            self.total, self.count = (self.total.new_zeros(len(losses)) for _ in range(2))
            self.means = self.means.new_full((2, len(losses)), math.nan)
        check_tasks(len(self.total), losses, "DynamicWeightAverage")
        values, mask = observed(losses, active, self.total)
        weights = share(torch.softmax(self._ratios() / self.temperature, dim=0), losses, active)
        self.total += values
        self.count += mask
        self.calls += 1
        if self.window is not None and int(self.calls) >= self.window:
            self.end_epoch()
        return weights

    def end_epoch(self, *, train: Tensor | None = None, validation: Tensor | None = None) -> None:
        """End the running epoch: the mean losses of its calls, and no others, move the weights of the next."""
        seen = self.count > 0
        mean = self.total / self.count.clamp(min=1.0)
        self.means = torch.where(seen, torch.stack([self.means[1], mean]), self.means)
        self.total, self.count = torch.zeros_like(self.total), torch.zeros_like(self.count)
        self.calls = torch.zeros_like(self.calls)

    def _ratios(self) -> Tensor:
        older, newer = self.means
        known = (older > 0) & newer.isfinite()
        return torch.where(known, newer / older, torch.ones_like(newer))

    def extra_repr(self) -> str:
        return f"temperature={self.temperature}, window={self.window}"
