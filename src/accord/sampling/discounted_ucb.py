"""Upper confidence bounds that forget."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.bandit import Bandit
from accord.sampling.ucb import confidence_bounds, highest


class DiscountedUCB(Bandit):
    """UCB for means that change: sums and counts fade by ``discount`` with every reward.

    Chooses the highest ``mean_k + 2 sqrt(exploration ln n / n_k)`` over discounted sums, where ``n = sum n_k`` is at
    most ``1 / (1 - discount)``. A task that was left alone grows uncertain again and is tried again. Over ``horizon``
    draws with ``changes`` of the means the paper takes ``discount = 1 - sqrt(changes / horizon) / 4``, for a regret of
    the order ``sqrt(changes * horizon) ln horizon``.

    Shapes: rows ``[T]``, of one task. Cost O(T).

    Args:
        tasks: T.
        discount: in (0, 1).
        exploration: above 1/2 for the bound on the regret.
        seed: unused by the choice; part of every sampler's state.

    Source: Garivier and Moulines, On Upper-Confidence Bound Policies for Switching Bandit Problems, 2011 (D-UCB;
    exploration 0.6 in its experiments; its discount there, 0.9965, is the rule above for one or two changes in 10,000).
    """

    method: ClassVar[Method] = Method(
        title="Discounted UCB",
        paper="On Upper-Confidence Bound Policies for Switching Bandit Problems",
        year=2011,
        url="https://arxiv.org/abs/0805.3415",
        needs="rewards",
        cost="O(T)",
        catalogue=(188,),
    )
    sums: Tensor
    counts: Tensor
    waiting: Tensor

    def __init__(self, tasks: int, discount: float = 0.9965, exploration: float = 0.6, seed: int = 0) -> None:
        super().__init__(tasks, seed)
        if not 0.0 < discount < 1.0 or not exploration > 0.0:
            raise ConfigurationError(
                f"needs a discount between 0 and 1 and exploration above 0; got {discount} and {exploration}"
            )
        self.discount = discount
        self.exploration = exploration
        self.register_buffer("sums", torch.zeros(tasks, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(tasks, dtype=torch.float64))
        self.register_buffer("waiting", torch.zeros(tasks, dtype=torch.int64))

    def bounds(self) -> Tensor:
        """Return the upper confidence bounds ``[T]``, infinite for tasks without a reward."""
        return confidence_bounds(self.sums, self.counts, 4.0 * self.exploration)

    def choose(self, generator: np.random.Generator) -> int:  # noqa: ARG002 - the choice is not random
        task = highest(self.bounds(), self.waiting)
        self.waiting[task] += 1
        return task

    def reward(self, rewards: np.ndarray, heard: np.ndarray) -> None:
        for buffer, news in ((self.sums, np.where(heard, rewards, 0.0)), (self.counts, heard)):
            buffer.mul_(self.discount).add_(torch.from_numpy(news.astype(np.float64)))
        self.waiting.numpy()[heard] = 0

    def extra_repr(self) -> str:
        return f"tasks={self.tasks}, discount={self.discount}, exploration={self.exploration}"
