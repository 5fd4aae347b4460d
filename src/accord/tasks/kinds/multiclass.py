"""One class out of several: a logit per class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from accord.errors import DataError
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
from accord.tasks.labels import Floats, Labels
from accord.tasks.metrics import (
    ACCURACY,
    BALANCED_ACCURACY,
    BRIER,
    LOG_LOSS,
    MACRO_AUC,
    MACRO_F1,
    MATTHEWS,
    Metric,
    Scorer,
    top_k,
)
from accord.tasks.target import Target

if TYPE_CHECKING:
    from accord.tasks.task import Task

# With fewer rows per class than this a column of many classes is an identifier or a measurement, not a target.
_MANY, _ROWS_PER_CLASS = 20, 5


def _one_against_rest(probabilities: Floats, truth: Floats) -> Scorer:
    members = (truth[:, None] == np.arange(probabilities.shape[1])).astype(np.float64)
    return MACRO_AUC.function(probabilities, members)


_MACRO_AUC = replace(MACRO_AUC, function=_one_against_rest)
_METRICS = (
    ACCURACY, BALANCED_ACCURACY, MACRO_F1, LOG_LOSS, BRIER, _MACRO_AUC, MATTHEWS, top_k(2), top_k(3), top_k(5)
)  # fmt: skip


@dataclass(frozen=True)
class Multiclass(TargetEncoder):
    """Several classes; predictions are calibrated probabilities ``[B, C]`` in the order of ``classes``.

    Label smoothing, where asked for, stays in the probabilities: it is regularisation, chosen by hand.

    Attributes:
        classes: names of the C classes: those of the task, else those of the training rows (numbers ascending).
        priors: share of each class in the training rows, by weight.
        weights: weight of each class.
    """

    classes: tuple[str, ...]
    priors: tuple[float, ...]
    weights: tuple[float, ...]

    kind: ClassVar[str] = "multiclass"
    losses: ClassVar[Mapping[str, Loss]] = {
        "cross_entropy": Loss("accuracy", {"label_smoothing": Parameter(0.0, 0.0, 1.0)}),
    }
    metric_names: ClassVar[tuple[str, ...]] = tuple(metric.name for metric in _METRICS)
    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "auc")
    options: ClassVar[frozenset[str]] = frozenset({"classes", "class_weights"})
    probabilities: ClassVar[bool] = True

    @classmethod
    def learn(cls, task: Task, labels: Labels) -> Self:
        codes, names = labels.as_classes(task.name)
        seen = codes >= 0
        require_labels(task, seen)
        counts = np.bincount(codes[seen], row_weights(labels)[seen], minlength=len(names))
        classes = tuple(task.classes or (name for name, count in zip(names, counts, strict=True) if count > 0))
        _reject_identifier(task, classes, int(seen.sum()))
        positions = class_positions(classes, names)
        reject_unseen(task, positions, names, codes, classes)
        per_class = np.zeros(len(classes))
        np.add.at(per_class, positions[positions >= 0], counts[positions >= 0])
        if (per_class > 0).sum() < 2:
            only = classes[int(per_class.argmax())]
            raise DataError(f"task {task.name!r}: every training label is {only!r}. Drop the task.")
        priors = tuple(float(share) for share in per_class / per_class.sum())
        return cls(task, classes, priors, class_weights(task, classes, per_class))

    @property
    def width(self) -> int:
        return len(self.classes)

    @property
    def notes(self) -> tuple[str, ...]:
        rare = [name for name, prior in zip(self.classes, self.priors, strict=True) if prior == 0]
        if not rare:
            return ()
        return (f"task {self.task.name!r}: no training row has class {', '.join(map(repr, rare))}.",)

    @property
    def prediction_names(self) -> tuple[str, ...]:
        return tuple(f"{self.task.name}={name}" for name in self.classes)

    def bias(self) -> Tensor:
        # A class without training rows starts as if it had a hundredth of the rarest one's.
        priors = np.array(self.priors)
        weighted = np.maximum(priors, priors[priors > 0].min() / 100) * np.array(self.weights)
        logs = np.log(weighted)
        return torch.from_numpy((logs - logs.mean()).astype(np.float32))

    def encode(self, labels: Labels) -> Target:
        codes, names = labels.as_classes(self.task.name)
        positions = class_positions(self.classes, names)
        reject_unseen(self.task, positions, names, codes, self.classes)
        values = np.append(positions, -1)[codes]
        observed = torch.from_numpy(codes >= 0)
        return Target(torch.from_numpy(np.maximum(values, 0)), observed, weight_tensor(labels))

    def row_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        smoothing = self.task.loss_params["label_smoothing"]
        losses = functional.cross_entropy(outputs, values, reduction="none", label_smoothing=smoothing)
        return losses if self.task.class_weights is None else losses * outputs.new_tensor(self.weights)[values]

    def predict(self, outputs: Tensor) -> Tensor:
        logits = outputs.double()
        return torch.softmax(logits - torch.log(logits.new_tensor(self.weights)), dim=1)

    def decide(self, predictions: NDArray[Any]) -> NDArray[Any]:
        return np.array(self.classes, dtype=object)[np.asarray(predictions).argmax(1)]

    def truth(self, values: Tensor) -> NDArray[Any]:
        return values.cpu().numpy()

    def metrics(self) -> dict[str, Metric]:
        return {metric.name: metric for metric in _METRICS}


def _reject_identifier(task: Task, classes: tuple[str, ...], rows: int) -> None:
    if task.classes is None and len(classes) > _MANY and rows < _ROWS_PER_CLASS * len(classes):
        raise DataError(
            f"task {task.name!r}: {len(classes)} classes in {rows} rows look like an identifier or a measurement. "
            'Choose kind "regression" for numbers, group the classes, or list them in classes= if they are meant.'
        )
