"""From easy to hard tasks, at a pace set by a competence that grows with the square root of time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.mixture import Mix, Schedule
from accord.sampling.sampler import positive


class CompetenceCurriculum(Schedule):
    """Draw only from what is no harder than the model is competent for by now.

    Competence at step ``s`` of ``steps`` is ``c = min(1, (s (1 - c0^p) / steps + c0^p)^(1/p))``. All examples of a task
    have its difficulty, and a task is open when the share of examples that are at most as difficult is ``<= c``; the
    easiest is open from the start, all are from ``steps`` on. Open tasks are sampled in proportion to their sizes.

    Shapes: rows ``[T]``. Cost O(T).

    Args:
        difficulties: ``[T]``, finite, in any units: only their order counts, ties open together.
        steps: length of the curriculum in batches, at least 1. The paper takes 90 % of the steps that training without
            a curriculum needs.
        sizes: ``[T]``, examples per task; as many of each by default.
        initial: ``c0`` in (0, 1].
        power: ``p``, at least 1: 1 for a linear pace, 2 for the paper's square root.
        mix: see :class:`~accord.sampling.mixture.Mixture`.
        seed: of the draws.

    Source: Platanios et al., Competence-based Curriculum Learning for Neural Machine Translation, 2019 (c0 0.01, square
    root), where the examples of one data set have difficulties; here those of a task share one.
    """

    method: ClassVar[Method] = Method(
        title="Competence-based curriculum",
        paper="Competence-based Curriculum Learning for Neural Machine Translation",
        year=2019,
        url="https://arxiv.org/abs/1903.09848",
        needs="nothing",
        cost="O(T)",
    )

    def __init__(
        self,
        difficulties: Sequence[float],
        steps: int,
        sizes: Sequence[int] | None = None,
        initial: float = 0.01,
        power: float = 2.0,
        mix: Mix = "rows",
        seed: int = 0,
    ) -> None:
        super().__init__(len(difficulties), mix, seed)
        if steps < 1 or not 0.0 < initial <= 1.0 or not 1.0 <= power < math.inf:
            raise ConfigurationError(
                f"needs steps of at least 1, an initial competence in (0, 1] and a power of at least 1; "
                f"got {steps}, {initial} and {power}"
            )
        self.sizes = positive([1] * len(difficulties) if sizes is None else sizes, "sizes")
        hard = np.array(difficulties, dtype=np.float64)
        if hard.shape != self.sizes.shape or not np.isfinite(hard).all():
            raise ConfigurationError(f"needs one finite difficulty per size; got {list(difficulties)}")
        self.quantiles = np.array([self.sizes[hard <= own].sum() for own in hard]) / self.sizes.sum()
        self.steps, self.initial, self.power = steps, initial, power

    @property
    def competence(self) -> float:
        """The share of examples, easiest first, that are open to the next batch."""
        low = self.initial**self.power
        return min(1.0, (self.drawn * (1.0 - low) / self.steps + low) ** (1.0 / self.power))

    def probabilities(self) -> Tensor:
        level = max(self.competence + 1e-12, float(self.quantiles.min()))
        weights = self.sizes * (self.quantiles <= level)
        return torch.from_numpy(weights / weights.sum())
