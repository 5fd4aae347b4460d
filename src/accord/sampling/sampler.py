"""What every sampler is: the contract between loops and methods that decide which tasks the next batch comes from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.linalg.draws import Draws
from accord.method import Method


@dataclass(frozen=True, slots=True)
class News:
    """What the loop tells a sampler after a step: float64 on the CPU, NaN for tasks without news, ``None`` if not told.

    Attributes:
        losses: ``[T]``.
        rewards: ``[T]``, larger is better; each method says in which range.
        gramian: ``[T, T]`` inner products of the tasks' gradients, as ``Step.gramian`` has them.
        variances: ``[T]``, variance of a single row's gradient, see :func:`accord.sampling.gradient_moments`.
        gradient: ``[P]``, shared parameters' gradient of a batch that came from one task.
    """

    losses: Tensor | None = None
    rewards: Tensor | None = None
    gramian: Tensor | None = None
    variances: Tensor | None = None
    gradient: Tensor | None = None


class Sampler(nn.Module, ABC):
    """Decides how many rows of the next batch come from each of T tasks.

    The whole state, the place in the random stream included, is in ``state_dict``, so that a run resumes bit for bit;
    equal states draw alike on every process. A sampler is no part of a model and stays on the CPU.

    Args:
        tasks: T.
        seed: of the draws.
    """

    method: ClassVar[Method]
    hears: ClassVar[tuple[str, ...]] = ()

    def __init__(self, tasks: int, seed: int) -> None:
        super().__init__()
        if tasks < 1:
            raise ConfigurationError(f"a sampler needs at least one task; got {tasks}")
        self.tasks = tasks
        self.draws = Draws(seed)

    @abstractmethod
    def forward(self, batch: int | Sequence[int]) -> Tensor:
        """Return rows per task ``[T]`` int64 of the next batch.

        Args:
            batch: rows of the whole batch, which the counts sum to; or ``[T]``, the rows that a batch of that task
                alone would have (heterogeneous batch sizes): a task with share ``p`` of the batch then gets ``p``
                times its own number, rounded up or down at random so that the expected number is exact.
        """

    def observe(
        self,
        *,
        losses: Tensor | Sequence[float] | None = None,
        rewards: Tensor | Sequence[float] | None = None,
        gramian: Tensor | None = None,
        variances: Tensor | Sequence[float] | None = None,
        gradient: Tensor | None = None,
    ) -> None:
        """Tell the sampler about the last step; what it has no use for is ignored, so one loop serves all samplers.

        The arguments are the attributes of :class:`News`. Anything but a finite number says that a task has no news.

        Raises:
            ConfigurationError: a shape is wrong, or what the method learns from is missing.
        """
        news = News(*(_numbers(value) for value in (losses, rewards, gramian, variances, gradient)))
        for field in fields(news):
            value = getattr(news, field.name)
            expected = [self.tasks] * 2 if field.name == "gramian" else [self.tasks]
            if value is not None and field.name != "gradient" and list(value.shape) != expected:
                raise ConfigurationError(f"{field.name} must have shape {expected}; got {list(value.shape)}")
            if value is None and field.name in self.hears:
                name = type(self).__name__
                raise ConfigurationError(f"{name} learns from {field.name}: pass observe({field.name}=...)")
        self.learn(news)

    @abstractmethod
    def learn(self, news: News) -> None:
        """Take in what :meth:`observe` was told; everything that ``hears`` names is there."""


def _numbers(value: Tensor | Sequence[float] | None) -> Tensor | None:
    return None if value is None else torch.as_tensor(value).detach().to("cpu", torch.float64)


def rows_of(batch: int | Sequence[int], tasks: int) -> np.ndarray:
    """Return ``[T]``, the rows of a batch of each task alone.

    Raises:
        ConfigurationError: not one positive whole number, or not one per task.
    """
    sizes = list(batch) if isinstance(batch, Sequence) else [batch] * tasks
    if len(sizes) != tasks or not all(isinstance(size, Integral) and size > 0 for size in sizes):
        raise ConfigurationError(
            f"a batch is a positive number of rows, or {tasks} of them, one per task; got {batch!r}"
        )
    return np.array(sizes, dtype=np.int64)


def spread(shares: np.ndarray, rows: np.ndarray, generator: np.random.Generator) -> Tensor:
    """Return whole rows per task ``[T]`` with expectation ``shares * rows``, each rounded up or down.

    Systematic rounding: where the sum of ``shares * rows`` is whole, as for one batch size and shares that sum to 1,
    the rows sum to exactly that.
    """
    # Nine decimals are far below one row and far above rounding errors, which must not cost a whole row.
    ends = np.floor(np.round(np.cumsum(shares * rows), 9) + generator.random())
    return torch.from_numpy(np.diff(ends, prepend=0.0).astype(np.int64))


def positive(values: Sequence[float] | Sequence[int], what: str) -> np.ndarray:
    """Return float64 ``values``, at least one and all above 0.

    Raises:
        ConfigurationError: a value is not finite or not above 0; the message calls it ``what``.
    """
    if not len(values) or not all(0.0 < value < math.inf for value in values):
        raise ConfigurationError(f"{what} must be one finite number above 0 per task; got {list(values)}")
    return np.array(values, dtype=np.float64)
