"""Which rows the next step is of: all in their turn, or those that a sampler draws for each task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from accord.engines import Step
from accord.training.problem import Problem

Losses = Mapping[str, Tensor | None]


@dataclass(frozen=True)
class Rows:
    """The rows of one step.

    Attributes:
        numbers: ``[n]`` int64.
        owners: ``[n]`` int64, the task that each was drawn for, the only one that looks at it; ``None`` where all do.
        shares: ``[T]``, each task's part of the step, where rows were drawn for tasks.
    """

    numbers: Tensor
    owners: Tensor | None = None
    shares: Tensor | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def every_second(self, start: int) -> Rows:
        """Return half of the rows, from ``start`` (0 or 1) on."""
        return Rows(self.numbers[start::2], None if self.owners is None else self.owners[start::2], self.shares)

    def scales(self, losses: Losses) -> dict[str, float]:
        """Return by what to multiply the losses that are there, so that their mean is the mean over the rows."""
        shares = [1.0] * len(losses) if self.shares is None else self.shares.tolist()
        part = {task: share for task, share in zip(losses, shares, strict=True) if losses[task] is not None}
        return {task: len(part) * share / sum(part.values()) for task, share in part.items()}

    def weighed(self, losses: Losses) -> dict[str, Tensor | None]:
        """Return ``losses`` with gradients by which their mean is the mean over the rows, as samplers' papers have it.

        The values stay, so that balancers and histories see each task's own mean loss. Without this a task's share of
        the rows would change the noise of its gradient, and not how much it counts.
        """
        if self.shares is None:
            return dict(losses)
        scales = self.scales(losses)
        return {
            task: None if loss is None else loss.detach() + scales[task] * (loss - loss.detach())
            for task, loss in losses.items()
        }


class Feed(ABC):
    """What a trainer takes its rows from."""

    @abstractmethod
    def epoch(self, number: int, offset: int) -> Iterator[Rows]:
        """Yield the rows of each step of epoch ``number``, from step ``offset`` on."""

    @abstractmethod
    def learn(self, rows: Rows, losses: Losses, step: Step) -> None:
        """Take in what a step brought: called when weights have moved and gradients are still there."""

    @abstractmethod
    def take_shares(self) -> dict[str, float]:
        """Return each task's share of the rows since the last call; empty where rows are not drawn for tasks."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Return everything that the next rows depend on, besides the epoch and the offset."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Undo :meth:`state`."""


@final
class InTurn(Feed):
    """All training rows, each for all tasks, in an order that seed and epoch decide.

    Args:
        problem: with the rows.
        size: rows per step.
        seed: of the order.
    """

    def __init__(self, problem: Problem, size: int, seed: int) -> None:
        self.problem, self.size, self.seed = problem, size, seed

    def epoch(self, number: int, offset: int) -> Iterator[Rows]:
        order = self.problem.order(self.seed, number)
        for start in range(offset * self.size, len(order), self.size):
            yield Rows(order[start : start + self.size])

    def learn(self, rows: Rows, losses: Losses, step: Step) -> None:
        """Learn nothing."""

    def take_shares(self) -> dict[str, float]:
        return {}

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restore nothing."""


def values(losses: Losses) -> Tensor:
    """Return the losses ``[T]`` as float64 on the CPU, NaN for absent ones."""
    nan = torch.tensor(torch.nan)
    return torch.stack([(nan if loss is None else loss.detach()).to("cpu", torch.float64) for loss in losses.values()])
