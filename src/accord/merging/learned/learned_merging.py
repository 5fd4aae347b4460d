"""The contract of merging methods that look at data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.merging.learned.batches import Batches, check_tasks
from accord.merging.learned.experts import Experts, State, evaluating, gather
from accord.merging.merging_method import described
from accord.method import Method


@dataclass(frozen=True, eq=False)
class Merged:
    """What learning gave.

    Attributes:
        modules: task to a module that is ready to use, in evaluation mode. Merged weights are the same tensors in all.
        state: the merged weights by name, where one set serves all tasks.
        coefficients: of the task vectors, ``[n]`` or ``[n, tensors]`` in the order of ``state``, where there are any.
        history: the losses, ``[steps, tasks]``.
    """

    modules: Mapping[str, nn.Module]
    state: dict[str, Tensor]
    history: Tensor
    coefficients: Tensor | None = None


class LearnedMerging(ABC):
    """Experts and a few batches of every task in, merged modules out: ``Method(...)(base, experts, batches)``.

    It works on any ``nn.Module``: an expert runs as it is, with merged weights put in the place of its own
    (:func:`torch.func.functional_call`), in evaluation mode. The experts are never changed.

    Attributes:
        method: facts about the method.
    """

    method: ClassVar[Method]

    @abstractmethod
    def fit(self, experts: Experts, batches: Batches, generator: torch.Generator) -> Merged:
        """Learn from ``batches``; draw from ``generator`` alone."""

    def __call__(
        self,
        base: nn.Module | State,
        experts: Mapping[str, nn.Module],
        batches: Batches,
        *,
        keep: Sequence[str] = (),
        seed: int = 0,
    ) -> Merged:
        """Merge fine-tuned modules with the help of data.

        Args:
            base: what all experts were fine-tuned from: a module or its state.
            experts: task to fine-tuned module.
            batches: task to an iterable that can be read again and again (a loader, a list). A batch is a tensor,
                ``(inputs, labels)``, or a mapping of keyword arguments with ``labels``; unsupervised methods do not
                look at labels.
            keep: patterns of parameters that stay each expert's own although the base has them, e.g. ``head.*``.
            seed: of whatever is drawn.

        Raises:
            ConfigurationError: experts and batches are not of the same tasks.
            DataError: experts do not fit the base; the parameter is named.
        """
        check_tasks(batches, experts)
        found = gather(base, experts, keep)
        with evaluating(found.modules):
            return self.fit(found, batches, torch.Generator().manual_seed(seed))

    def __repr__(self) -> str:
        return described(self)


def finish(experts: Experts, state: State, history: Tensor, coefficients: Tensor | None = None) -> Merged:
    """Return the result of a method whose weights serve all tasks."""
    held = {name: nn.Parameter(value.detach()) for name, value in state.items()}
    modules = {task: experts.assemble(task, held).eval() for task in experts.tasks}
    kept = None if coefficients is None else coefficients.detach().clone()
    return Merged(modules, {name: value.data for name, value in held.items()}, history, kept)


def at_least(name: str, value: float, least: float) -> None:
    """Refuse an option below ``least``.

    Raises:
        ConfigurationError: names both.
    """
    if not value >= least:
        raise ConfigurationError(f"{name} must be at least {least}; got {value}")
