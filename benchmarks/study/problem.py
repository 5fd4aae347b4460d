"""What one data set asks for: rows, a model, losses and a metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from benchmarks.study.networks import Network
from torch import Tensor
from torch.nn import functional

from accord.data import Features
from accord.tasks.metrics import ACCURACY, AUC, MAE, Metric

Kind = Literal["multiclass", "binary", "regression"]
# Modules of benchmarks.study.data.
PROBLEMS = ("multimnist", "census", "qm9")
METRICS: dict[Kind, Metric] = {"multiclass": ACCURACY, "binary": AUC, "regression": MAE}
EVALUATED_AT_ONCE = 2048


@dataclass(frozen=True)
class Part:
    """Rows of one part: inputs ``[N, ...]`` and targets ``[N, T]`` (class codes, 0 or 1, or numbers)."""

    inputs: Tensor | Features
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Sizes:
    """How much of a data set is used and how long a model trains on it."""

    train: int
    validation: int
    test: int
    steps: int
    batch: int


@dataclass(frozen=True)
class About:
    """What the page says of a data set.

    Attributes:
        rows: what a row is and where rows come from.
        model: what is trained.
    """

    title: str
    kind: Kind
    rows: str
    model: str


@dataclass(frozen=True)
class Problem:
    """One data set.

    Attributes:
        name: how the command line and the results call it.
        tasks: names of the T tasks, all of one ``kind``.
        build: number of tasks to a new model, whose weights come from PyTorch's global generator.
        engine: the one that is faster for this model. All give the same numbers.
    """

    name: str
    tasks: tuple[str, ...]
    kind: Kind
    sizes: Sizes
    train: Part
    validation: Part
    test: Part
    build: Callable[[int], Network]
    engine: str = "batched"

    @property
    def metric(self) -> Metric:
        """What every task is judged by."""
        return METRICS[self.kind]

    @property
    def sign(self) -> float:
        """1 where more of the metric is better, else -1."""
        return 1.0 if self.metric.higher_is_better else -1.0

    def losses(self, outputs: Sequence[Tensor], targets: Tensor) -> Tensor:
        """Return the mean loss of each task over a batch: outputs ``[B, width]`` each, targets ``[B, T]``."""
        if self.kind == "multiclass":
            pairs = zip(outputs, targets.unbind(1), strict=True)
            return torch.stack([functional.cross_entropy(output, target) for output, target in pairs])
        stacked = torch.cat(list(outputs), 1)
        if self.kind == "binary":
            return functional.binary_cross_entropy_with_logits(stacked, targets, reduction="none").mean(0)
        return functional.mse_loss(stacked, targets, reduction="none").mean(0)

    @torch.no_grad()
    def judge(self, model: Network, part: Part, tasks: Sequence[int]) -> dict[str, float]:
        """Return the metric of each of ``tasks``, whose outputs the model has in that order; NaN where it diverged."""
        model.eval()
        batches = [
            model(part.inputs[start : start + EVALUATED_AT_ONCE]) for start in range(0, len(part), EVALUATED_AT_ONCE)
        ]
        model.train()
        found = {}
        for position, task in enumerate(tasks):
            # AUC, accuracy and absolute error need no probabilities: logits have the same order.
            outputs = torch.cat([batch[position] for batch in batches]).squeeze(1)
            found[self.tasks[task]] = self.metric(outputs.numpy(), part.targets[:, task].numpy())
        return found
