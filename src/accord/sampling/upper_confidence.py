"""Optimism: bandits that go by upper confidence bounds on the mean rewards."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from accord.sampling.bandit import Bandit


class UpperConfidence(Bandit):
    """Choose the task with the highest ``S_k / n_k + sqrt(width ln n / n_k)``, where ``n = sum n_k``.

    ``S_k`` and ``n_k`` are sum and number of a task's rewards; all of them are multiplied by ``discount`` before every
    update. Tasks without a reward come first. Nothing is random.

    Args:
        tasks: T.
        discount: in (0, 1].
        width: above 0.
        seed: unused by the choice; part of every sampler's state.
    """

    sums: Tensor
    counts: Tensor
    waiting: Tensor

    def __init__(self, tasks: int, discount: float, width: float, seed: int) -> None:
        super().__init__(tasks, seed)
        self.discount, self.width = discount, width
        self.register_buffer("sums", torch.zeros(tasks, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(tasks, dtype=torch.float64))
        # Draws of tasks since their last reward, so that rewards that come late do not stop the first round.
        self.register_buffer("waiting", torch.zeros(tasks, dtype=torch.int64))

    def bounds(self) -> Tensor:
        """Return the upper confidence bounds ``[T]``, infinite for tasks without a reward."""
        # Discounts may leave less than one reward in all, whose logarithm would be below 0.
        logarithm = self.counts.sum().clamp(min=1.0).log()
        found = self.sums / self.counts + (self.width * logarithm / self.counts).sqrt()
        return torch.where(self.counts > 0, found, torch.inf)

    def choose(self, generator: np.random.Generator) -> int:  # noqa: ARG002 - the choice is not random
        bounds = self.bounds()
        best = (bounds == bounds.max()).nonzero().squeeze(1)
        task = int(best[self.waiting[best].argmin()])
        self.waiting[task] += 1
        return task

    def reward(self, rewards: np.ndarray, heard: np.ndarray) -> None:
        for buffer, news in ((self.sums, np.where(heard, rewards, 0.0)), (self.counts, heard)):
            buffer.mul_(self.discount).add_(torch.from_numpy(news.astype(np.float64)))
        self.waiting.numpy()[heard] = 0
