"""Samplers that treat tasks as the arms of a bandit: one task per step, and a reward for having trained on it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.sampling.sampler import News, Sampler, rows_of


class Bandit(Sampler):
    """A sampler whose batches are of one task, chosen by the rewards that earlier choices had.

    Rewards are within ``span``, [0, 1] for most; ``observe(rewards=)`` gives those of the tasks that were trained, NaN
    for the others. It may be called after every batch, or after several: a reward then stands for all batches of its
    task since.
    """

    hears = ("rewards",)
    span: ClassVar[tuple[float, float]] = (0.0, 1.0)

    @abstractmethod
    def choose(self, generator: np.random.Generator) -> int:
        """Return the task of the next batch."""

    @abstractmethod
    def reward(self, rewards: np.ndarray, heard: np.ndarray) -> None:
        """Learn from ``rewards`` ``[T]`` where ``heard`` ``[T]`` is true; they are in range there."""

    def forward(self, batch: int | Sequence[int]) -> Tensor:
        rows = rows_of(batch, self.tasks)
        task = self.choose(self.draws.generator())
        counts = torch.zeros(self.tasks, dtype=torch.int64)
        counts[task] = int(rows[task])
        return counts

    def learn(self, news: News) -> None:
        assert news.rewards is not None
        rewards = news.rewards.numpy()
        heard = np.isfinite(rewards)
        low, high = self.span
        if ((rewards[heard] < low) | (rewards[heard] > high)).any():
            raise ConfigurationError(
                f"{type(self).__name__} takes rewards from {low:g} to {high:g}; got {rewards.tolist()}. Squash or "
                "rescale them, or use AutomatedCurriculum, which rescales any"
            )
        if heard.any():
            self.reward(rewards, heard)


def softmax(scores: np.ndarray) -> np.ndarray:
    """Return the softmax of ``scores``."""
    grown = np.exp(scores - scores.max())
    return grown / grown.sum()
