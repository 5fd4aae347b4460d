"""Groups of tasks, what they are predicted to gain, and what they cost: the contract of all partitioners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method

Array = NDArray[np.float64]
Group = tuple[int, ...]


@dataclass(frozen=True)
class Budget:
    """What all groups together may cost: ``sum over groups of (group + task * size) <= limit``.

    ``Budget(3)`` is at most three groups. ``Budget(2.0, group=0.7, task=0.3 / T)`` is at most the compute of two models
    of all T tasks, if the shared part of such a model does 70 per cent of its work.

    Attributes:
        limit: above 0.
        group: cost of a group, whatever its size, above 0.
        task: cost of each task in a group, 0 or more.
    """

    limit: float
    group: float = 1.0
    task: float = 0.0

    def __post_init__(self) -> None:
        if not (0 < self.limit < float("inf") and self.group > 0 and self.task >= 0):
            raise ConfigurationError(f"a budget needs limit > 0, group > 0 and task >= 0, not {self}")

    def cost(self, size: int) -> float:
        """Return what a group of ``size`` tasks costs."""
        return self.group + self.task * size

    def affords(self, cost: float) -> bool:
        """Return whether ``cost`` is within the limit, but for rounding."""
        return cost <= self.limit * (1 + 1e-9)

    def most_groups(self, tasks: int) -> int:
        """Return how many groups ``tasks`` can be divided into, each in one of them.

        Raises:
            ConfigurationError: not even one group of all tasks is affordable.
        """
        count = int((self.limit * (1 + 1e-9) - self.task * tasks) / self.group)
        if count < 1:
            raise ConfigurationError(
                f"the budget of {self.limit:g} does not pay for one group of all {tasks} tasks, which costs "
                f"{self.cost(tasks):g}: raise it"
            )
        return min(count, tasks)


@dataclass(frozen=True)
class Partition:
    """Which tasks are trained together, and which group serves each task.

    Attributes:
        groups: positions of tasks, ascending; every task is in at least one. Groups may overlap.
        server: ``[T]`` for each task the position of the group whose model serves it; it is in that group.
        gains: ``[T]`` what each task is predicted to gain over training alone, in the affinity's units.
    """

    groups: tuple[Group, ...]
    server: tuple[int, ...]
    gains: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Mean predicted gain over all tasks."""
        return float(np.mean(self.gains))

    @property
    def served(self) -> tuple[Group, ...]:
        """For each group the tasks that it serves."""
        return tuple(tuple(t for t in group if self.server[t] == g) for g, group in enumerate(self.groups))

    def cost(self, budget: Budget) -> float:
        """Return what all groups cost together."""
        return sum(budget.cost(len(group)) for group in self.groups)


class Partitioner(ABC):
    """Divides T tasks into groups that help each other, as far as a budget allows.

    What a task gains in a group is the mean of the others' affinity to it, less what is neutral; alone it gains 0. A
    partition is judged by the sum over tasks of the gain in the group that serves it (Fifty et al., 2021; Standley et
    al., 2020, for whom groups may overlap).
    """

    method: ClassVar[Method]

    @abstractmethod
    def check(self, tasks: int) -> None:
        """Raise a :class:`ConfigurationError` where it cannot divide so many ``tasks``."""

    @abstractmethod
    def divide(self, helps: Array, budget: Budget) -> Partition:
        """Return groups for ``helps [T, T]``, finite, neutral at 0, with a diagonal of 0."""

    def __call__(self, affinity: Tensor | Array, budget: Budget, *, neutral: float | None = 0.0) -> Partition:
        """Return groups.

        Args:
            affinity: ``[T, T]``, entry ``[i, j]`` says how much i helps j; NaN where unknown. The diagonal is ignored.
            budget: what they may cost.
            neutral: the affinity that neither helps nor hurts; ``None`` takes the mean over all pairs.

        Raises:
            ConfigurationError: no square matrix, nothing known, or a budget that pays for nothing.
        """
        helps = centred(affinity, neutral)
        self.check(len(helps))
        budget.most_groups(len(helps))
        return self.divide(helps, budget)


def centred(affinity: Tensor | Array, neutral: float | None = 0.0) -> Array:
    """Return ``affinity`` less what is neutral, 0 on the diagonal and where it is unknown.

    Raises:
        ConfigurationError: see :class:`Partitioner`.
    """
    found = torch.as_tensor(affinity, dtype=torch.float64).numpy(force=True)
    if found.ndim != 2 or found.shape[0] != found.shape[1] or not len(found):
        raise ConfigurationError(f"an affinity has shape [T, T]; got {list(found.shape)}")
    others = ~np.eye(len(found), dtype=bool)
    known = np.isfinite(found) & others
    if len(found) > 1 and not known.any():
        raise ConfigurationError("the affinity knows of no pair of tasks: it is not finite anywhere")
    if neutral is None:
        neutral = float(found[known].mean()) if known.any() else 0.0
    return np.where(known, found - neutral, 0.0)


def gains_in(helps: Array, group: Sequence[int]) -> Array:
    """Return what each task of ``group`` gains in it ``[n]``, in the order of ``group``; 0 alone."""
    rows = np.asarray(group)
    return helps[np.ix_(rows, rows)].sum(0) / max(1, len(rows) - 1)


def arrange(helps: Array, groups: Sequence[Sequence[int]]) -> Partition:
    """Return the partition of ``groups``, each task served by the group where it gains most (the first of equals).

    Groups are put in the order of their first task; one that serves nobody is left out.

    Raises:
        ConfigurationError: a task is in no group.
    """
    ordered = sorted({tuple(sorted(group)) for group in groups if len(group)})
    best = np.full(len(helps), -np.inf)
    server = np.full(len(helps), -1)
    for g, group in enumerate(ordered):
        gains = gains_in(helps, group)
        better = gains > best[list(group)] + 1e-15
        rows = np.asarray(group)[better]
        best[rows], server[rows] = gains[better], g
    if (server < 0).any():
        raise ConfigurationError(f"task {int(np.argmin(server))} is in no group")
    used = [g for g in range(len(ordered)) if (server == g).any()]
    place = {g: new for new, g in enumerate(used)}
    return Partition(tuple(ordered[g] for g in used), tuple(place[int(g)] for g in server), tuple(best.tolist()))
