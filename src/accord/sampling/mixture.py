"""Samplers that have a distribution over tasks, and the three ways to make batches of it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError, suggest
from accord.sampling.sampler import News, Sampler, rows_of, spread

Mix = Literal["rows", "shares", "unmixed"]


class Mixture(Sampler):
    """A sampler with probabilities over tasks.

    Args:
        tasks: T.
        mix: how a batch is made of them. ``"rows"``: each row's task is drawn by itself (multinomial counts);
            ``"shares"``: each batch holds them as exactly as whole rows allow, rounded at random, so that a task with
            a share of one row or more is in every batch; ``"unmixed"``: one task is drawn for the whole batch.
        seed: of the draws.
    """

    def __init__(self, tasks: int, mix: Mix, seed: int) -> None:
        super().__init__(tasks, seed)
        if mix not in get_args(Mix):
            raise ConfigurationError(f"unknown way to mix {mix!r}. {suggest(str(mix), get_args(Mix))}")
        self.mix = mix

    @abstractmethod
    def probabilities(self) -> Tensor:
        """Return each task's expected share ``[T]`` float64 of the next batch; they sum to 1."""

    def forward(self, batch: int | Sequence[int]) -> Tensor:
        rows = rows_of(batch, self.tasks)
        p = self.probabilities().numpy()
        generator = self.draws.generator()
        return spread(self._shares(p / p.sum(), int(rows.max()), generator), rows, generator)

    def _shares(self, p: np.ndarray, slots: int, generator: np.random.Generator) -> np.ndarray:
        """Return each task's share ``[T]`` of one batch of ``slots`` rows, whose expectation is ``p``."""
        if self.mix == "rows":
            return generator.multinomial(slots, p) / slots
        return p if self.mix == "shares" else np.eye(self.tasks)[generator.choice(self.tasks, p=p)]

    def extra_repr(self) -> str:
        shares = ", ".join(f"{share:.3g}" for share in self.probabilities().tolist())
        return f"[{shares}], mix={self.mix!r}"


class Schedule(Mixture):
    """A mixture that depends on nothing but the number of batches drawn so far."""

    @property
    def drawn(self) -> int:
        """How many batches were drawn so far."""
        return int(self.draws.place[1])

    def learn(self, news: News) -> None:
        """Ignore what the step told."""


class FixedMixture(Schedule):
    """A mixture that never changes.

    Args:
        weights: ``[T]``, above 0, in any units.
        mix: see :class:`Mixture`.
        seed: of the draws.
    """

    def __init__(self, weights: np.ndarray, mix: Mix, seed: int) -> None:
        super().__init__(len(weights), mix, seed)
        self.shares = torch.from_numpy(weights / weights.sum())

    def probabilities(self) -> Tensor:
        return self.shares


def tempered(sizes: np.ndarray, temperature: float) -> np.ndarray:
    """Return ``sizes^(1/temperature)``, scaled so that the largest is 1."""
    return np.exp((np.log(sizes) - np.log(sizes.max())) / temperature)
