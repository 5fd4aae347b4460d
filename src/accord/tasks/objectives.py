"""Several tasks together: their losses and predictions, and which of them is defined where another is positive."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accord.errors import ConfigurationError, suggest
from accord.tasks.encoder import TargetEncoder
from accord.tasks.entire_space import joint_log_loss, joint_log_probability
from accord.tasks.kinds.binary import Binary
from accord.tasks.labels import Labels
from accord.tasks.target import Target
from accord.tasks.task import Task


class Objectives:
    """The tasks of one model, in order.

    A task with ``given="click"`` is defined where click is positive, and so is a chain of them (a purchase given a
    cart given a click). In the space ``"given"`` its loss and its metrics look at those rows only, and its prediction
    is the conditional probability (or number). In the space ``"entire"`` its target is "all of the chain happened",
    its prediction the product of the chain's probabilities, and both loss and metrics are over all rows.

    Args:
        encoders: fitted encoders with different names.

    Raises:
        ConfigurationError: names repeat; ``given`` names no binary task here, or goes round in a circle.
    """

    def __init__(self, encoders: Sequence[TargetEncoder]) -> None:
        self.encoders = tuple(encoders)
        self.names = tuple(encoder.task.name for encoder in encoders)
        self._chains = tuple(_chains([encoder.task for encoder in encoders]))

    @classmethod
    def fit(cls, tasks: Sequence[Task], labels: Mapping[str, Labels], rows: NDArray[Any] | None = None) -> Objectives:
        """Learn every task from its training labels, a conditional task from the rows where it is defined.

        Args:
            tasks: the tasks, in the order of the model's outputs.
            labels: task name -> labels over all rows.
            rows: training rows, as positions or a mask; all when ``None``.

        Raises:
            DataError: a task cannot be learned from its labels.
            ConfigurationError: the tasks do not fit together.
        """
        chains = _chains(tasks)
        training = {task.name: labels[task.name] if rows is None else labels[task.name].take(rows) for task in tasks}
        fitted: dict[int, TargetEncoder] = {}
        positive: dict[int, NDArray[np.bool_]] = {}
        # Parents have shorter chains, so they come first.
        for index in sorted(range(len(tasks)), key=lambda i: len(chains[i])):
            own, parents = training[tasks[index].name], chains[index]
            defined = np.logical_and.reduce([positive[p] for p in parents]) if parents else None
            fitted[index] = TargetEncoder.fit(tasks[index], own, defined)
            if tasks[index].kind == "binary":
                target = fitted[index].encode(own)
                positive[index] = (target.observed & (target.values > 0.5)).numpy()
        return cls([fitted[index] for index in range(len(tasks))])

    def single(self, index: int) -> Objectives:
        """Return the objectives of task ``index`` alone, for targets that :meth:`targets` of all tasks prepared.

        A conditional task keeps its rows; one over the entire space becomes an ordinary binary task whose positives
        are the rows where its whole chain happened. That is what a fair single-task baseline is trained on.
        """
        encoder = self.encoders[index]
        task = dataclasses.replace(encoder.task, given=None, space="given")
        if not self._entire(index):
            return Objectives([dataclasses.replace(encoder, task=task)])
        links = (*self._chains[index], index)
        rate = math.prod(self._binary(link).rate for link in links)
        return Objectives([dataclasses.replace(self._binary(index), task=task, rate=rate)])

    def encode(self, labels: Mapping[str, Labels]) -> list[Target]:
        """Return the targets of ``labels`` (task name -> labels of N rows), each on its own space."""
        return self.targets([encoder.encode(labels[encoder.task.name]) for encoder in self.encoders])

    def targets(self, targets: Sequence[Target]) -> list[Target]:
        """Return ``targets`` as losses and metrics take them: restricted, or joined, to each task's space."""
        happened = [target.observed & (target.values > 0.5) for target in targets]
        return [
            self._on_space(index, target, targets, happened) if self._chains[index] else target
            for index, target in enumerate(targets)
        ]

    def losses(self, outputs: Sequence[Tensor], targets: Sequence[Target]) -> list[Tensor | None]:
        """Return one scalar per task: its weight times the weighted mean loss over the observed labels.

        Args:
            outputs: per task ``[B, width]``.
            targets: per task, B rows of what :meth:`targets` returned.

        Returns:
            A loss for each task; ``None`` (never NaN) for one without an observed label of positive weight.
        """
        return [self._loss(index, outputs, target) for index, target in enumerate(targets)]

    def row_losses(self, outputs: Sequence[Tensor], targets: Sequence[Target]) -> list[tuple[Tensor, Tensor]]:
        """Return per task the weighted loss ``[B]`` and the weight ``[B]`` of every row, float64, for resampling.

        Over any rows, the sum of the first by the sum of the second is the task's loss as :meth:`losses` returns it.
        """
        return [self._row_loss(index, outputs, target) for index, target in enumerate(targets)]

    def predict(self, outputs: Sequence[Tensor]) -> list[Tensor]:
        """Return per task float64 predictions, as :meth:`TargetEncoder.predict`, in the task's own space."""
        return [
            self._joint(index, outputs).exp() if self._entire(index) else encoder.predict(outputs[index])
            for index, encoder in enumerate(self.encoders)
        ]

    def _entire(self, index: int) -> bool:
        return self.encoders[index].task.space == "entire"

    def _binary(self, index: int) -> Binary:
        encoder = self.encoders[index]
        assert isinstance(encoder, Binary)  # _chains saw to it
        return encoder

    def _joint(self, index: int, outputs: Sequence[Tensor]) -> Tensor:
        links = (*self._chains[index], index)
        return joint_log_probability([self._binary(link).logit(outputs[link].double()) for link in links])

    def _on_space(self, index: int, target: Target, targets: Sequence[Target], happened: Sequence[Tensor]) -> Target:
        defined = torch.stack([happened[link] for link in self._chains[index]]).all(0)
        if not self._entire(index):
            shape = [-1] + [1] * (target.observed.ndim - 1)
            return Target(target.values, target.observed & defined.view(shape), target.weights)
        # It did not happen as soon as one link is known not to have happened, whatever else is missing.
        links = (*self._chains[index], index)
        failed = torch.stack([targets[link].observed & (targets[link].values <= 0.5) for link in links]).any(0)
        joint = defined & happened[index]
        return Target(joint.to(target.values.dtype), joint | failed, target.weights)

    def _row_loss(self, index: int, outputs: Sequence[Tensor], target: Target) -> tuple[Tensor, Tensor]:
        links = (*self._chains[index], index) if self._entire(index) else (index,)
        losses = self._losses(index, {link: outputs[link] for link in links}, target)
        weights = _weights(losses, target).double()
        weighted = torch.where(weights > 0, losses.double(), 0.0) * weights * self.encoders[index].task.weight
        return weighted.reshape(len(target), -1).sum(1), weights.reshape(len(target), -1).sum(1)

    def _losses(self, index: int, parts: Mapping[int, Tensor], target: Target) -> Tensor:
        if not self._entire(index):
            return self.encoders[index].row_loss(parts[index], target.values)
        links = (*self._chains[index], index)
        return joint_log_loss([self._binary(link).logit(parts[link]) for link in links], target.values)

    def _loss(self, index: int, outputs: Sequence[Tensor], target: Target) -> Tensor | None:
        links = (*self._chains[index], index) if self._entire(index) else (index,)
        parts = {link: outputs[link] for link in links}
        if target.observed.ndim == 1 and not bool(target.observed.all()):
            # A head may be anything on rows it is not asked about; taking those out keeps them out of the gradient.
            rows = target.observed.nonzero().squeeze(1)
            parts = {link: output.index_select(0, rows) for link, output in parts.items()}
            target = target.take(rows)
        mean = _observed_mean(self._losses(index, parts, target), target)
        return None if mean is None else mean * self.encoders[index].task.weight


def _observed_mean(losses: Tensor, target: Target) -> Tensor | None:
    if target.weights is None and bool(target.observed.all()):
        return losses.mean() if losses.numel() else None
    weights = _weights(losses, target)
    total = weights.sum()
    if not bool(total > 0):
        return None
    return (torch.where(weights > 0, losses, 0.0) * weights).sum() / total


def _weights(losses: Tensor, target: Target) -> Tensor:
    """Return the weight of every label, shaped like ``losses``; 0 where it is missing."""
    weights = target.observed.to(losses.dtype)
    if target.weights is None:
        return weights
    return weights * target.weights.to(losses.dtype).view([-1] + [1] * (losses.ndim - 1))


def _chains(tasks: Sequence[Task]) -> list[tuple[int, ...]]:
    # For each task the tasks it is given, the first event first.
    position = {task.name: index for index, task in enumerate(tasks)}
    if len(position) < len(tasks):
        names = [task.name for task in tasks]
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"two tasks are called {twice!r}: give each its own name.")
    return [_chain(task, tasks, position) for task in tasks]


def _chain(task: Task, tasks: Sequence[Task], position: Mapping[str, int]) -> tuple[int, ...]:
    chain: list[int] = []
    link = task
    while link.given is not None:
        if link.given not in position:
            raise ConfigurationError(
                f"task {link.name!r} is given {link.given!r}, which is not a task here. {suggest(link.given, position)}"
            )
        if position[link.given] in chain or link.given == task.name:
            raise ConfigurationError(f"task {task.name!r} is given itself by way of {link.name!r}: break the circle.")
        chain.insert(0, position[link.given])
        link = tasks[position[link.given]]
        if link.kind != "binary":
            raise ConfigurationError(f"task {task.name!r} is given {link.name!r}, which is {link.kind}, not binary.")
    return tuple(chain)
