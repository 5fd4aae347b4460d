"""Yes or no: one logit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from accord.errors import DataError, suggest
from accord.tasks.class_weights import class_weights
from accord.tasks.encoder import (
    Loss,
    Parameter,
    TargetEncoder,
    class_positions,
    reject_unseen,
    require_labels,
    row_weights,
    weight_tensor,
)
from accord.tasks.focal import focal_logit, focal_loss
from accord.tasks.labels import Labels
from accord.tasks.metrics import (
    ACCURACY,
    AUC,
    AVERAGE_PRECISION,
    BALANCED_ACCURACY,
    BRIER,
    F1,
    LOG_LOSS,
    MATTHEWS,
    Metric,
)
from accord.tasks.positive import find_positive, infer_positive
from accord.tasks.target import Target

if TYPE_CHECKING:
    from accord.tasks.task import Task

_METRICS = (AUC, AVERAGE_PRECISION, LOG_LOSS, BRIER, ACCURACY, BALANCED_ACCURACY, F1, MATTHEWS)


@dataclass(frozen=True)
class Binary(TargetEncoder):
    """Binary labels; predictions are calibrated probabilities of the positive value, whatever the loss.

    With ``positive=`` every other value counts as negative, however many there are. Without it there must be exactly
    two values, and the positive one is, in this order: the larger number; the affirmative word (yes, true, ...); the
    rarer value when it has less than 40 % of the rows; the last in alphabetical order. The choice is noted.

    Attributes:
        positive: the value that counts as 1.
        negatives: the other values that are known; empty when any other value counts as 0.
        negative: what to call the rest.
        rate: share of positives in the training rows, by weight.
        weights: class weights (negative, positive).
        inferred: why ``positive`` was chosen; empty when it was given.
    """

    positive: str
    negatives: tuple[str, ...]
    negative: str
    rate: float
    weights: tuple[float, ...]
    inferred: str

    kind: ClassVar[str] = "binary"
    losses: ClassVar[Mapping[str, Loss]] = {
        "bce": Loss("auc"),
        "focal": Loss("auc", {"gamma": Parameter(2.0, 0.0, 20.0)}),
    }
    metric_names: ClassVar[tuple[str, ...]] = tuple(metric.name for metric in _METRICS)
    default_metrics: ClassVar[tuple[str, ...]] = ("auc", "average_precision", "log_loss", "brier", "accuracy", "f1")
    options: ClassVar[frozenset[str]] = frozenset({"positive", "class_weights"})
    probabilities: ClassVar[bool] = True

    @classmethod
    def learn(cls, task: Task, labels: Labels) -> Self:
        codes, names = labels.as_classes(task.name)
        require_labels(task, codes >= 0)
        counts = np.bincount(codes[codes >= 0], row_weights(labels)[codes >= 0], minlength=len(names)).astype(
            np.float64
        )
        present = tuple(name for name, count in zip(names, counts, strict=True) if count > 0)
        if task.positive is None:
            positive, inferred = infer_positive(task, present, counts[counts > 0])
        else:
            positive, inferred = find_positive(task, names), ""
        rest = tuple(name for name in present if name != positive)
        if positive not in present or not rest:
            raise _one_class(task, positive, present)
        negative = rest[0] if len(rest) == 1 else f"not {positive}"
        positives = float(counts[names.index(positive)])
        both = np.array([counts.sum() - positives, positives])
        weights = class_weights(task, (negative, positive), both)
        known = () if task.positive is not None else rest
        return cls(task, positive, known, negative, positives / float(counts.sum()), weights, inferred)

    @property
    def width(self) -> int:
        return 1

    @property
    def notes(self) -> tuple[str, ...]:
        return (self.inferred,) if self.inferred else ()

    @property
    def prediction_names(self) -> tuple[str, ...]:
        return (f"{self.task.name}={self.positive}",)

    def bias(self) -> Tensor:
        odds = math.log(self.rate / (1.0 - self.rate))
        return torch.tensor([odds if self._logit_at(odds) == odds else self._output_at(odds)], dtype=torch.float32)

    def _logit_at(self, output: float) -> float:
        return float(self.logit(torch.tensor([[output]], dtype=torch.float64)))

    def _output_at(self, odds: float) -> float:
        from scipy.optimize import brentq  # costs half a second, and most losses have the identity here

        return float(brentq(lambda z: self._logit_at(z) - odds, -60.0, 60.0))  # pyright: ignore[reportArgumentType]

    def encode(self, labels: Labels) -> Target:
        codes, names = labels.as_classes(self.task.name)
        if self.negatives:
            known = (*self.negatives, self.positive)
            reject_unseen(self.task, class_positions(known, names), names, codes, known)
        is_positive = np.array([name == self.positive for name in names] + [False])
        values = torch.from_numpy(is_positive[codes].astype(np.float32))
        return Target(values, torch.from_numpy(codes >= 0), weight_tensor(labels))

    def row_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        logits, values = outputs.squeeze(1), values.to(outputs.dtype)
        if self.task.loss == "focal":
            losses = focal_loss(logits, values, self.task.loss_params["gamma"])
        else:
            losses = functional.binary_cross_entropy_with_logits(logits, values, reduction="none")
        if self.task.class_weights is None:
            return losses
        return losses * torch.where(values > 0.5, self.weights[1], self.weights[0])

    def logit(self, outputs: Tensor) -> Tensor:
        """Return calibrated log odds ``[B]`` of the positive value: corrected for focal loss and class weights."""
        logits = outputs.squeeze(1)
        if self.task.loss == "focal":
            logits = focal_logit(logits, self.task.loss_params["gamma"])
        return logits - math.log(self.weights[1] / self.weights[0])

    def predict(self, outputs: Tensor) -> Tensor:
        return torch.sigmoid(self.logit(outputs.double()))

    def decide(self, predictions: NDArray[Any]) -> NDArray[Any]:
        return np.where(np.asarray(predictions) >= 0.5, self.positive, self.negative)

    def truth(self, values: Tensor) -> NDArray[Any]:
        return values.cpu().numpy().astype(np.int64)

    def metrics(self) -> dict[str, Metric]:
        return {metric.name: metric for metric in _METRICS}


def _one_class(task: Task, positive: str, present: tuple[str, ...]) -> DataError:
    if positive in present:
        return DataError(
            f"task {task.name!r}: every training label is {positive!r}: there is nothing to learn. Drop the task."
        )
    return DataError(
        f"task {task.name!r}: the positive value {positive!r} does not occur in the training rows. "
        f"{suggest(positive, present)}"
    )
