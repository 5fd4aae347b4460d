"""What of a front's training depends on what the front is made of: one network for all preferences, or a set."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from accord.data import Features
from accord.steering.network import Steerable, adapters
from accord.steering.rows import Rows
from accord.tasks import Objectives, Target
from accord.training.optimizer import AdamW, Group, build_optimizer
from accord.training.problem import all_outputs
from accord.training.spec import TrainingSpec
from accord.weighting import Fixed

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Batch:
    """The rows of one step, on the device that the networks are on."""

    features: Features
    targets: Sequence[Target]
    objectives: Objectives
    autocast: bool

    def losses(self, network: Callable[[Features], list[Tensor]]) -> tuple[Tensor, Tensor]:
        """Return the losses ``[T]`` of ``network``, 0 without a label, and which tasks ``[T]`` have one."""
        device = self.features.numeric.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.autocast):
            outputs = network(self.features)
        found = self.objectives.losses([output.float() for output in outputs], self.targets)
        nothing = torch.zeros((), device=device)
        present = torch.tensor([loss is not None for loss in found], device=device)
        return torch.stack([nothing if loss is None else loss for loss in found]), present


class Learner(ABC, Generic[Model]):
    """A front in training.

    Attributes:
        model: all that is trained.
    """

    model: Model

    @abstractmethod
    def parts(self) -> list[nn.Module]:
        """Return the networks whose gradients are clipped each by itself."""

    @abstractmethod
    def optimizer(self, training: TrainingSpec) -> AdamW:
        """Return what moves the parameters."""

    @abstractmethod
    def descend(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Tensor]:
        """Leave the gradients of one step in the parameters, or none where a step is not possible.

        Args:
            batch: the rows.
            generator: of this step, on the CPU.
            progress: how far training has come, 0 to 1.

        Returns:
            The mean losses ``[T]`` of all solutions that were looked at, and which tasks ``[T]`` had a label.
        """

    @abstractmethod
    def outputs(self, rows: Rows) -> Iterator[list[Tensor]]:
        """Yield every head's outputs for ``rows`` of each solution that the front is judged by."""

    def points(self, objectives: Objectives, rows: Rows) -> Tensor:
        """Return the losses ``[n, T]`` float64 of those solutions, NaN without a label."""
        losses = [objectives.losses(outputs, rows.targets) for outputs in self.outputs(rows)]
        values = [[float("nan") if loss is None else loss.item() for loss in line] for line in losses]
        return torch.tensor(values, dtype=torch.float64)


class Steered(Learner[Steerable]):
    """One network that is told the preference.

    Args:
        model: the network.
        preferences: ``[n, T]``, where it is judged.
    """

    def __init__(self, model: Steerable, preferences: Tensor) -> None:
        self.model = model
        self.preferences = preferences

    def parts(self) -> list[nn.Module]:
        return [self.model]

    def optimizer(self, training: TrainingSpec) -> AdamW:
        """Return AdamW as every run has it, with adapters at T times the rate."""
        fast = adapters(self.model)
        ours = {id(parameter) for parameter in fast}
        groups = [
            Group([p for p in group.parameters if id(p) not in ours], group.rate, group.decay)
            for group in build_optimizer(self.model, Fixed(), training).groups
        ]
        rate = self.model.front.tasks * training.learning_rate
        return AdamW([*groups, Group(fast, rate, training.weight_decay)])

    def descend(self, batch: Batch, generator: torch.Generator, progress: float) -> tuple[Tensor, Tensor]:
        front = self.model.front
        preferences = front.sample(generator, progress).to(batch.features.numeric.device)
        found = [batch.losses(lambda features, one=one: self.model(features, one)) for one in preferences]
        losses, present = torch.stack([own for own, _ in found]), found[0][1]
        if present.any():
            kept = preferences[:, present]
            kept = kept / kept.sum(dim=1, keepdim=True).clamp(min=torch.finfo(kept.dtype).tiny)
            front.objective(losses[:, present], kept).backward()
        return losses.detach().mean(dim=0), present

    def outputs(self, rows: Rows) -> Iterator[list[Tensor]]:
        for preference in self.preferences:
            yield front_outputs(self.model, rows, preference)


def front_outputs(model: Steerable, rows: Rows, preference: Tensor) -> list[Tensor]:
    """Return every head's outputs for ``rows`` at ``preference`` ``[T]``; see :func:`all_outputs`."""
    device = next(model.parameters()).device
    return all_outputs(model, rows.features, torch.arange(len(rows)), device, preference.float())
