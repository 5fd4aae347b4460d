"""What the Exp3 family has in common: log weights, a mixed policy, and importance-weighted rewards."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from accord.sampling.bandit import Bandit, softmax


class ExponentialWeights(Bandit):
    """A bandit with policy ``(1 - explore) softmax(scores) + explore / T``.

    Args:
        tasks: T.
        explore: share of the draws that is uniform, in (0, 1].
        seed: of the draws.
    """

    scores: Tensor
    owed: Tensor

    def __init__(self, tasks: int, explore: float, seed: int) -> None:
        super().__init__(tasks, seed)
        self.explore = explore
        self.register_buffer("scores", torch.zeros(tasks, dtype=torch.float64))
        # Sum of 1/p over the draws of each task that have had no reward yet, p as it was at the draw.
        self.register_buffer("owed", torch.zeros(tasks, dtype=torch.float64))

    def policy(self) -> Tensor:
        """Return the probabilities ``[T]`` of the next draw."""
        return torch.from_numpy((1.0 - self.explore) * softmax(self.scores.numpy()) + self.explore / self.tasks)

    def choose(self, generator: np.random.Generator) -> int:
        p = self.policy().numpy()
        task = int(generator.choice(self.tasks, p=p / p.sum()))
        self.owed[task] += 1.0 / p[task]
        return task

    def estimates(self, rewards: np.ndarray, heard: np.ndarray) -> np.ndarray:
        """Return unbiased estimates ``[T]`` of all tasks' rewards, and settle what is owed for ``heard``."""
        owed = self.owed.numpy()
        found = np.where(heard, np.where(heard, rewards, 0.0) * owed, 0.0)
        owed[heard] = 0.0
        return found

    def extra_repr(self) -> str:
        return f"tasks={self.tasks}, explore={self.explore:.3g}"
