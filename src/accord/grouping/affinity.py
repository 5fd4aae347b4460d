"""What every affinity is: the contract between what is seen of the tasks and the matrix that says who helps whom."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.method import Method


@dataclass(frozen=True, slots=True)
class Evidence:
    """What an affinity is told: float64 on the CPU, NaN where there is no news, ``None`` where it is not told.

    Attributes:
        gramian: ``[T, T]`` inner products of the tasks' gradients on the shared parameters, every now and then.
        before: ``[T]`` losses at the present parameters.
        after: ``[T, T]``; row i holds all losses after a step of task i alone, see :func:`accord.grouping.lookahead`.
        confidence: ``[T, N]`` probability of the observed label of N rows, once an epoch; the same rows every time.
        representations: one ``[N, D_t]`` per task: N rows as the encoder of a model of that task alone sees them.
        means: ``[T, D]`` mean of the rows of each task as one common encoder sees them, less the mean of all rows.
        heads: ``[T, D]`` linear readout of each task from one common encoder.
        labels: ``[T, N]`` whole numbers, the labels of N rows; -1 where missing.
    """

    gramian: Tensor | None = None
    before: Tensor | None = None
    after: Tensor | None = None
    confidence: Tensor | None = None
    representations: tuple[Tensor, ...] | None = None
    means: Tensor | None = None
    heads: Tensor | None = None
    labels: Tensor | None = None


KINDS = tuple(field.name for field in fields(Evidence))


class Affinity(nn.Module, ABC):
    """Says who helps whom among T tasks, from what it was shown of them.

    ``matrix()`` is ``[T, T]`` float64: entry ``[i, j]`` says how much training together with task i helps task j, more
    is better. ``neutral`` is the value that means "neither helps nor hurts", ``None`` where the scale has no such
    point: groups are then made as if the mean over all pairs were neutral. A pair that was never seen is NaN. The
    diagonal is what the method says of a task and itself; nobody uses it.

    The whole state is in ``state_dict``, so that what is watched through training can be resumed.

    Args:
        tasks: T, at least 2.
    """

    method: ClassVar[Method]
    hears: ClassVar[tuple[str, ...]]
    neutral: ClassVar[float | None] = 0.0

    def __init__(self, tasks: int) -> None:
        super().__init__()
        if tasks < 2:
            raise ConfigurationError(f"an affinity is between tasks, so it needs at least two; got {tasks}")
        self.tasks = tasks

    def observe(self, *, representations: Sequence[Tensor] | None = None, **evidence: Tensor | None) -> None:
        """Show evidence, the attributes of :class:`Evidence`; what the method has no use for is ignored.

        Raises:
            ConfigurationError: unknown evidence, a wrong shape, or what the method goes by is missing.
        """
        for name in evidence:
            if name not in KINDS:
                raise ConfigurationError(f"there is no evidence {name!r}. Choose among: {', '.join(KINDS)}.")
        shown = {name: _numbers(value) for name, value in evidence.items() if value is not None}
        seen = None if representations is None else tuple(map(_numbers, representations))
        for name, value in shown.items():
            _check_shape(name, value, self.tasks)
        if seen is not None:
            _check_representations(seen, self.tasks)
        found = Evidence(representations=seen, **shown)
        for name in self.hears:
            if getattr(found, name) is None:
                raise ConfigurationError(f"{type(self).__name__} goes by {name}: pass observe({name}=...)")
        self.learn(found)

    @abstractmethod
    def learn(self, evidence: Evidence) -> None:
        """Take in what :meth:`observe` was shown; everything that ``hears`` names is there."""

    @abstractmethod
    def matrix(self) -> Tensor:
        """Return who helps whom ``[T, T]``, float64.

        Raises:
            ConfigurationError: nothing was observed yet.
        """

    def unseen(self) -> ConfigurationError:
        """Return the error of asking before anything was observed."""
        hears = ", ".join(f"{name}=..." for name in self.hears)
        return ConfigurationError(f"{type(self).__name__} has seen nothing yet: call observe({hears}) first")


def _numbers(value: Tensor) -> Tensor:
    return torch.as_tensor(value).detach().to("cpu", torch.float64)


def _check_shape(name: str, value: Tensor, tasks: int) -> None:
    square = name in ("gramian", "after")
    wanted = [tasks, tasks] if square else [tasks] if name == "before" else None
    if wanted is not None and list(value.shape) != wanted:
        raise ConfigurationError(f"{name} must have shape {wanted}; got {list(value.shape)}")
    if wanted is None and (value.ndim != 2 or len(value) != tasks):
        raise ConfigurationError(f"{name} must have shape [{tasks}, N]; got {list(value.shape)}")


def _check_representations(seen: Sequence[Tensor], tasks: int) -> None:
    rows = {len(one) for one in seen if one.ndim == 2}
    if len(seen) != tasks or any(one.ndim != 2 for one in seen) or len(rows) != 1:
        shapes = [list(one.shape) for one in seen]
        raise ConfigurationError(f"representations must be {tasks} of [N, D] with the same rows; got shapes {shapes}")
