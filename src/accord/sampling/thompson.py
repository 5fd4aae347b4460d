"""Thompson sampling, with or without a memory that fades."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.bandit import Bandit


class Thompson(Bandit):
    """Choose each task with the probability that it is the best, given the rewards so far.

    Each task has a Beta posterior over its mean reward, ``Beta(1 + S_k, 1 + F_k)``; one draw is taken from each and the
    highest wins. A reward ``r`` in [0, 1] is first made a coin toss with bias ``r``, which is a success or a failure.
    With ``discount`` below 1 all ``S`` and ``F`` are multiplied by it before each update, so that posteriors widen and
    a task whose mean has changed is found.

    Shapes: rows ``[T]``, of one task. Cost O(T).

    Args:
        tasks: T.
        discount: in (0, 1]; 1 for means that do not change.
        seed: of the draws.

    Source: Agrawal and Goyal, Analysis of Thompson Sampling for the Multi-armed Bandit Problem, 2012 (coin tosses;
    regret of the order of UCB's); discounts by Raj and Kalyani, Taming Non-stationary Bandits: A Bayesian Approach,
    2017.
    """

    method: ClassVar[Method] = Method(
        title="Thompson sampling",
        paper="Analysis of Thompson Sampling for the Multi-armed Bandit Problem",
        year=2012,
        url="https://arxiv.org/abs/1111.1797",
        needs="rewards",
        cost="O(T)",
        catalogue=(188,),
    )
    successes: Tensor
    failures: Tensor

    def __init__(self, tasks: int, discount: float = 1.0, seed: int = 0) -> None:
        super().__init__(tasks, seed)
        if not 0.0 < discount <= 1.0:
            raise ConfigurationError(f"discount must be above 0 and at most 1; got {discount}")
        self.discount = discount
        self.register_buffer("successes", torch.zeros(tasks, dtype=torch.float64))
        self.register_buffer("failures", torch.zeros(tasks, dtype=torch.float64))

    def choose(self, generator: np.random.Generator) -> int:
        return int(generator.beta(1.0 + self.successes.numpy(), 1.0 + self.failures.numpy()).argmax())

    def reward(self, rewards: np.ndarray, heard: np.ndarray) -> None:
        tossed = self.draws.generator().random(self.tasks) < np.where(heard, rewards, 0.0)
        for buffer, news in ((self.successes, heard & tossed), (self.failures, heard & ~tossed)):
            buffer.mul_(self.discount).add_(torch.from_numpy(news.astype(np.float64)))

    def extra_repr(self) -> str:
        return f"tasks={self.tasks}, discount={self.discount}"
