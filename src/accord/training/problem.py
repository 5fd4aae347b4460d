"""What one model is trained on: its rows, its tasks, its loss, and which of its parameters are shared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from accord.balancer import Balancer, Weighting
from accord.data import Features
from accord.sharing import MultiTaskModel
from accord.tasks import Objectives, Target

PREDICT_ROWS = 8192


@dataclass
class Problem:
    """A model with the data it learns from.

    Attributes:
        model: the network, already on ``device``.
        objectives: the tasks, in the order of the model's outputs.
        features: of all rows.
        targets: of all rows, one per task.
        train: ``[n]`` int64 row numbers.
        validation: ``[m]`` int64 row numbers.
    """

    model: MultiTaskModel
    objectives: Objectives
    features: Features
    targets: Sequence[Target]
    train: Tensor
    validation: Tensor
    device: torch.device
    autocast: bool

    def __post_init__(self) -> None:
        self.tasks = [encoder.task for encoder in self.objectives.encoders]
        self.shared: list[nn.Parameter] = list(self.model.shared_parameters())
        self.private = [p for i in range(len(self.tasks)) for p in self.model.task_parameters(i)]
        self.last_shared: list[nn.Parameter] = list(self.model.last_shared_parameters())

    def order(self, seed: int, epoch: int) -> Tensor:
        """Return the training rows in the order of ``epoch``: a function of seed and epoch alone, so it can resume."""
        generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        return self.train[torch.randperm(len(self.train), generator=generator)]

    def losses(self, rows: Tensor, owners: Tensor | None = None) -> dict[str, Tensor | None]:
        """Return each task's mean loss over ``rows``, or over those that it owns; None for a task without a label."""
        outputs = self.outputs(rows)
        targets = [target.take(rows) for target in self.targets]
        if owners is not None:
            targets = [target.where(owners == task) for task, target in enumerate(targets)]
        targets = [target.to(self.device) for target in targets]
        return dict(zip(self.objectives.names, self.objectives.losses(outputs, targets), strict=True))

    def outputs(self, rows: Tensor) -> list[Tensor]:
        """Return the float32 outputs of every head for ``rows``."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocast):
            outputs = self.model(self.features[rows].to(self.device))
        return [output.float() for output in outputs]

    def gramian_at(self, balancer: Balancer) -> Sequence[nn.Parameter] | None:
        """Return where a weighting that balances gradient norms measures them: the last shared layer (GradNorm)."""
        return self.last_shared if isinstance(balancer, Weighting) and balancer.method.needs == "gramian" else None


@torch.no_grad()
def all_outputs(
    model: nn.Module, features: Features, rows: Tensor, device: torch.device, *told: Tensor
) -> list[Tensor]:
    """Return the outputs of every head for ``rows`` on the CPU, in float32, batch by batch; dropout is off.

    ``told`` is what the model takes beside the features of a batch.
    """
    was_training = model.training
    model.eval()
    parts = [
        [out.float().cpu() for out in model(features[rows[i : i + PREDICT_ROWS]].to(device), *told)]
        for i in range(0, len(rows), PREDICT_ROWS)
    ]
    model.train(was_training)
    return [torch.cat(column) for column in zip(*parts, strict=True)]
