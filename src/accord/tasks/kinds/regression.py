"""A number: its mean (or median), in the labels' own units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from accord.tasks.encoder import Loss, Parameter, TargetEncoder, weight_tensor
from accord.tasks.labels import Labels
from accord.tasks.metrics import MAE, R2, RMSE, SPEARMAN, Metric
from accord.tasks.standard import Standard, one_column
from accord.tasks.target import Target

if TYPE_CHECKING:
    from accord.tasks.task import Task

_METRICS = (RMSE, MAE, R2, SPEARMAN)


@dataclass(frozen=True)
class Regression(TargetEncoder):
    """Numbers, standardised by the training rows for the loss; predictions are in the labels' units.

    So a loss near 1 is what predicting the mean costs, whatever the unit, and tasks in pounds and in millimetres
    weigh alike.

    Attributes:
        mean: of the training labels, by row weight.
        scale: their standard deviation.
    """

    mean: float
    scale: float

    kind: ClassVar[str] = "regression"
    losses: ClassVar[Mapping[str, Loss]] = {
        "mse": Loss("rmse"),
        "mae": Loss("mae"),
        "huber": Loss("rmse", {"delta": Parameter(1.0, 1e-6, 1e6)}),
    }
    metric_names: ClassVar[tuple[str, ...]] = tuple(metric.name for metric in _METRICS)
    default_metrics: ClassVar[tuple[str, ...]] = ("rmse", "mae", "r2", "spearman")

    @classmethod
    def learn(cls, task: Task, labels: Labels) -> Self:
        standard = Standard.learn(task, labels)
        return cls(task, standard.mean, standard.scale)

    @property
    def width(self) -> int:
        return 1

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def prediction_names(self) -> tuple[str, ...]:
        return (self.task.name,)

    def bias(self) -> Tensor:
        return torch.zeros(1)

    def encode(self, labels: Labels) -> Target:
        numbers = one_column(self.task, labels)
        values = (numbers - self.mean) / self.scale
        observed = ~np.isnan(numbers)
        filled = torch.from_numpy(np.where(observed, values, 0.0).astype(np.float32))
        return Target(filled, torch.from_numpy(observed), weight_tensor(labels))

    def row_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        guess, values = outputs.squeeze(1), values.to(outputs.dtype)
        if self.task.loss == "mae":
            return functional.l1_loss(guess, values, reduction="none")
        if self.task.loss == "huber":
            return functional.huber_loss(guess, values, reduction="none", delta=self.task.loss_params["delta"])
        return functional.mse_loss(guess, values, reduction="none")

    def predict(self, outputs: Tensor) -> Tensor:
        return outputs.squeeze(1).double() * self.scale + self.mean

    def decide(self, predictions: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(predictions)

    def truth(self, values: Tensor) -> NDArray[Any]:
        return values.cpu().double().numpy() * self.scale + self.mean

    def metrics(self) -> dict[str, Metric]:
        return {metric.name: metric for metric in _METRICS}
