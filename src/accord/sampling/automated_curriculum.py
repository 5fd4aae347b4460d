"""A curriculum that follows learning progress."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.exponential_weights import ExponentialWeights


class AutomatedCurriculum(ExponentialWeights):
    """Train on what teaches most just now: Exp3.S on learning progress, in any unit.

    The reward of a step is its progress, best the fall of the loss on the batch it was taken on (prediction gain),
    divided by the batch's cost where costs differ. It is mapped to [-1, 1] between the 20 % and 80 % quantiles of the
    progress so far, so no scale has to be known. Then, with the share ``a = 1 / updates`` that tapers off,
    ``w_k <- log((1 - a) exp(w_k + rate r_k / p_k) + a / (T - 1) sum_{j != k} exp(w_j + rate r_j / p_j))``.

    Shapes: rows ``[T]``, of one task. Cost O(T + memory log memory) per update.

    Args:
        tasks: T.
        rate: above 0.
        explore: share of uniform draws, in (0, 1].
        memory: how many rewards, drawn evenly from all so far, the quantiles are taken over; at least 2.
        seed: of the draws.

    Source: Graves et al., Automated Curriculum Learning for Neural Networks, 2017 (rate 0.001, explore 0.05, and beta,
    which is added to every reward before it is divided by ``p``, 0). Two independent ports have the same update. The
    size of the reservoir is ours; until two different rewards are known, rewards count as 0.
    """

    method: ClassVar[Method] = Method(
        title="Automated curriculum",
        paper="Automated Curriculum Learning for Neural Networks",
        year=2017,
        url="https://arxiv.org/abs/1704.03003",
        needs="rewards",
        cost="O(T)",
    )
    span = (-math.inf, math.inf)
    scores: Tensor
    seen: Tensor
    updates: Tensor
    history: Tensor

    def __init__(
        self, tasks: int, rate: float = 0.001, explore: float = 0.05, memory: int = 1000, seed: int = 0
    ) -> None:
        if not rate > 0.0 or not 0.0 < explore <= 1.0 or memory < 2:
            raise ConfigurationError(
                "needs a rate above 0, exploration in (0, 1] and a memory of 2 or more; "
                f"got {rate}, {explore} and {memory}"
            )
        super().__init__(tasks, explore, seed)
        self.rate = rate
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("history", torch.zeros(memory, dtype=torch.float64))

    def scaled(self, progress: np.ndarray) -> np.ndarray:
        """Return ``progress`` mapped to [-1, 1] by the quantiles of the progress so far."""
        known = self.history.numpy()[: min(int(self.seen), len(self.history))]
        low, high = np.quantile(known, [0.2, 0.8]) if len(known) else (0.0, 0.0)
        return np.clip(2.0 * (progress - low) / (high - low) - 1.0, -1.0, 1.0) if high > low else 0.0 * progress

    def reward(self, rewards: np.ndarray, heard: np.ndarray) -> None:
        for progress in rewards[heard]:
            self._remember(float(progress))
        self.updates += 1
        scaled = np.zeros(self.tasks)
        scaled[heard] = self.scaled(rewards[heard])
        grown = self.scores.numpy() + self.rate * self.estimates(scaled, heard)
        weights = np.exp(grown - grown.max())
        taper = 1.0 / int(self.updates) if self.tasks > 1 else 0.0
        # Where the first update shares everything, a lone task would be left with nothing.
        mixed = (1.0 - taper) * weights + taper * (weights.sum() - weights) / max(self.tasks - 1, 1)
        self.scores.copy_(torch.from_numpy(np.log(np.maximum(mixed, np.finfo(np.float64).tiny))))

    def _remember(self, progress: float) -> None:
        slot = int(self.seen)
        if slot >= len(self.history):
            slot = int(self.draws.generator().integers(slot + 1))
        if slot < len(self.history):
            self.history[slot] = progress
        self.seen += 1
