"""Optimism in the face of uncertainty."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.method import Method
from accord.sampling.bandit import Bandit


class UCB(Bandit):
    """Choose the task with the highest upper confidence bound on its mean reward: ``mean_k + sqrt(2 ln n / n_k)``.

    For rewards in [0, 1] with fixed means, ``D_k`` below the best, the expected regret after n draws is at most
    ``8 sum ln n / D_k + (1 + pi^2 / 3) sum D_k``, a logarithm. Every task is tried first. Nothing is random, and as
    means are of all time, it is slow to notice that they change: see :class:`~accord.sampling.DiscountedUCB`.

    Shapes: rows ``[T]``, of one task. Cost O(T).

    Args:
        tasks: T.
        seed: unused by the choice; part of every sampler's state.

    Source: Auer, Cesa-Bianchi and Fischer, Finite-time Analysis of the Multiarmed Bandit Problem, 2002 (UCB1).
    """

    method: ClassVar[Method] = Method(
        title="UCB1",
        paper="Finite-time Analysis of the Multiarmed Bandit Problem",
        year=2002,
        url="https://doi.org/10.1023/A:1013689704352",
        needs="rewards",
        cost="O(T)",
        catalogue=(188,),
    )
    sums: Tensor
    counts: Tensor
    waiting: Tensor

    def __init__(self, tasks: int, seed: int = 0) -> None:
        super().__init__(tasks, seed)
        self.register_buffer("sums", torch.zeros(tasks, dtype=torch.float64))
        self.register_buffer("counts", torch.zeros(tasks, dtype=torch.float64))
        # Draws of tasks that have had no reward yet, so that rewards that come late do not stop the first round.
        self.register_buffer("waiting", torch.zeros(tasks, dtype=torch.int64))

    def bounds(self) -> Tensor:
        """Return the upper confidence bounds ``[T]``, infinite for tasks without a reward."""
        return confidence_bounds(self.sums, self.counts, 2.0)

    def choose(self, generator: np.random.Generator) -> int:  # noqa: ARG002 - the choice is not random
        task = highest(self.bounds(), self.waiting)
        self.waiting[task] += 1
        return task

    def reward(self, rewards: np.ndarray, heard: np.ndarray) -> None:
        self.sums.numpy()[heard] += rewards[heard]
        self.counts.numpy()[heard] += 1.0
        self.waiting.numpy()[heard] = 0


def confidence_bounds(sums: Tensor, counts: Tensor, width: float) -> Tensor:
    """Return ``sums/counts + sqrt(width ln(sum counts) / counts)`` ``[T]``, infinite where nothing was counted."""
    logarithm = counts.sum().clamp(min=1.0).log()
    bounds = sums / counts + (width * logarithm / counts).sqrt()
    return torch.where(counts > 0, bounds, torch.inf)


def highest(bounds: Tensor, waiting: Tensor) -> int:
    """Return the task with the highest bound; of several, the one that waits for the fewest rewards, then the first."""
    best = (bounds == bounds.max()).nonzero().squeeze(1)
    return int(best[waiting[best].argmin()])
