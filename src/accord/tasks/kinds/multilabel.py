"""Several yes/no labels at once: a logit per label, each missing by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from accord.errors import DataError
from accord.tasks.encoder import Loss, TargetEncoder, require_labels, row_weights, weight_tensor
from accord.tasks.labels import Floats, Labels
from accord.tasks.metrics import (
    ACCURACY,
    BRIER,
    F1,
    LOG_LOSS,
    MACRO_AUC,
    MEAN_AVERAGE_PRECISION,
    Metric,
    over_columns,
)
from accord.tasks.target import Target

if TYPE_CHECKING:
    from accord.tasks.task import Task


def _macro(metric: Metric, label: str) -> Metric:
    return Metric(metric.name, label, metric.higher_is_better, metric.unit, metric.scale, over_columns(metric.function))


_METRICS = (
    MACRO_AUC,
    MEAN_AVERAGE_PRECISION,
    _macro(F1, "macro F1"),
    _macro(LOG_LOSS, "log loss"),
    _macro(BRIER, "Brier score"),
    _macro(ACCURACY, "accuracy"),
)


@dataclass(frozen=True)
class Multilabel(TargetEncoder):
    """K yes/no columns (0, 1 or missing); predictions are calibrated probabilities ``[B, K]``.

    The loss is a mean over the labels that are there, so a row with one label of five counts a fifth of a full row.
    Metrics are means over the columns, each over its own rows.

    Attributes:
        rates: share of positives of each column in the training rows, by weight.
        weights: per column the weights of (0, 1); 1 each unless balanced.
    """

    rates: tuple[float, ...]
    weights: tuple[tuple[float, float], ...]

    kind: ClassVar[str] = "multilabel"
    losses: ClassVar[Mapping[str, Loss]] = {"bce": Loss("auc")}
    metric_names: ClassVar[tuple[str, ...]] = tuple(metric.name for metric in _METRICS)
    default_metrics: ClassVar[tuple[str, ...]] = ("auc", "average_precision", "f1", "log_loss")
    options: ClassVar[frozenset[str]] = frozenset({"class_weights"})
    several_columns: ClassVar[bool] = True
    probabilities: ClassVar[bool] = True

    @classmethod
    def learn(cls, task: Task, labels: Labels) -> Self:
        numbers, weights = _yes_or_no(task, labels), row_weights(labels)
        require_labels(task, ~np.isnan(numbers))
        rates = tuple(_rate(task, name, numbers[:, k], weights) for k, name in enumerate(task.columns))
        if task.class_weights is None:
            return cls(task, rates, ((1.0, 1.0),) * len(rates))
        return cls(task, rates, tuple((0.5 / (1.0 - rate), 0.5 / rate) for rate in rates))

    @property
    def width(self) -> int:
        return len(self.rates)

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def prediction_names(self) -> tuple[str, ...]:
        return tuple(f"{self.task.name}={name}" for name in self.task.columns)

    def bias(self) -> Tensor:
        rates = torch.tensor(self.rates, dtype=torch.float64)
        return (torch.logit(rates) + self._shift()).float()

    def encode(self, labels: Labels) -> Target:
        numbers = _yes_or_no(self.task, labels)
        observed = ~np.isnan(numbers)
        values = torch.from_numpy(np.where(observed, numbers, 0.0).astype(np.float32))
        return Target(values, torch.from_numpy(observed), weight_tensor(labels))

    def row_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        values = values.to(outputs.dtype)
        losses = functional.binary_cross_entropy_with_logits(outputs, values, reduction="none")
        if self.task.class_weights is None:
            return losses
        weights = outputs.new_tensor(self.weights)
        return losses * torch.where(values > 0.5, weights[:, 1], weights[:, 0])

    def predict(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(outputs.double() - self._shift().to(outputs.device))

    def decide(self, predictions: NDArray[Any]) -> NDArray[Any]:
        return (np.asarray(predictions) >= 0.5).astype(np.int64)

    def truth(self, values: Tensor) -> NDArray[Any]:
        return values.cpu().numpy().astype(np.int64)

    def metrics(self) -> dict[str, Metric]:
        return {metric.name: metric for metric in _METRICS}

    def _shift(self) -> Tensor:
        weights = torch.tensor(self.weights, dtype=torch.float64)
        return (weights[:, 1] / weights[:, 0]).log()


def _yes_or_no(task: Task, labels: Labels) -> Floats:
    numbers = labels.as_numbers(task.name)
    if numbers.shape[1] != len(task.columns):
        raise DataError(f"task {task.name!r} has {len(task.columns)} columns, but its labels have {numbers.shape[1]}.")
    wrong = ~(np.isnan(numbers) | (numbers == 0) | (numbers == 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise DataError(
            f"task {task.name!r}: column {task.columns[column]!r} holds {numbers[row, column]:g} (row {row}; "
            f"{int(wrong.sum())} such labels). Multilabel columns hold 0, 1 or nothing."
        )
    return numbers


def _rate(task: Task, name: str, column: Floats, weights: Floats) -> float:
    seen = ~np.isnan(column) & (weights > 0)
    if not seen.any() or column[seen].min() == column[seen].max():
        held = f"{column[seen][0]:g} in every training row" if seen.any() else "missing in every training row"
        raise DataError(f"task {task.name!r}: column {name!r} is {held}. Leave it out of columns=.")
    return float(np.average(column[seen], weights=weights[seen]))
