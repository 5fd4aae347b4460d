"""Classes in an order: cumulative logits that never cross."""

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
from accord.tasks.class_weights import class_weights
from accord.tasks.encoder import (
    Loss,
    TargetEncoder,
    class_positions,
    reject_unseen,
    require_labels,
    row_weights,
    weight_tensor,
)
from accord.tasks.increments import inverse_softplus
from accord.tasks.labels import Labels
from accord.tasks.metrics import LOG_LOSS, QUADRATIC_KAPPA, RANK_ACCURACY, RANK_ERROR, Metric
from accord.tasks.metrics.rank import median_rank
from accord.tasks.target import Target

if TYPE_CHECKING:
    from accord.tasks.task import Task

_METRICS = (QUADRATIC_KAPPA, RANK_ERROR, RANK_ACCURACY, LOG_LOSS)


@dataclass(frozen=True)
class Ordinal(TargetEncoder):
    """Ordered classes by a cumulative logit model (McCullagh, 1980); predictions are probabilities ``[B, C]``.

    ``P(y > k) = sigmoid(g_k)`` with ``g_1 = s_1 + output_1`` and ``g_k = g_{k-1} - softplus(d_k + output_k)``: C - 1
    thresholds in guaranteed order, which start at the training frequencies (``s``, ``d``). The outputs after the first
    let distances between thresholds depend on the row; a head that learns only biases there is the classical
    proportional-odds model. The loss is the negative log-likelihood of the class.

    Attributes:
        classes: names of the C classes, lowest first: those of the task, else numbers in ascending order.
        priors: share of each class in the training rows, by weight.
        weights: weight of each class.
    """

    classes: tuple[str, ...]
    priors: tuple[float, ...]
    weights: tuple[float, ...]

    kind: ClassVar[str] = "ordinal"
    losses: ClassVar[Mapping[str, Loss]] = {"cumulative_logit": Loss("quadratic_kappa")}
    metric_names: ClassVar[tuple[str, ...]] = tuple(metric.name for metric in _METRICS)
    default_metrics: ClassVar[tuple[str, ...]] = ("quadratic_kappa", "mae", "accuracy", "log_loss")
    options: ClassVar[frozenset[str]] = frozenset({"classes", "class_weights"})
    probabilities: ClassVar[bool] = True

    @classmethod
    def learn(cls, task: Task, labels: Labels) -> Self:
        codes, names = labels.as_classes(task.name)
        seen = codes >= 0
        require_labels(task, seen)
        counts = np.bincount(codes[seen], row_weights(labels)[seen], minlength=len(names))
        present = [name for name, count in zip(names, counts, strict=True) if count > 0]
        classes = tuple(task.classes or _ascending(task, present))
        positions = class_positions(classes, names)
        reject_unseen(task, positions, names, codes, classes)
        per_class = np.zeros(len(classes))
        np.add.at(per_class, positions[positions >= 0], counts[positions >= 0])
        if len(present) < 2:
            raise DataError(f"task {task.name!r}: every training label is {present[0]!r}. Drop the task.")
        priors = tuple(float(share) for share in per_class / per_class.sum())
        return cls(task, classes, priors, class_weights(task, classes, per_class))

    @property
    def width(self) -> int:
        return len(self.classes) - 1

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def prediction_names(self) -> tuple[str, ...]:
        return tuple(f"{self.task.name}={name}" for name in self.classes)

    def bias(self) -> Tensor:
        return torch.zeros(self.width)

    def encode(self, labels: Labels) -> Target:
        codes, names = labels.as_classes(self.task.name)
        positions = class_positions(self.classes, names)
        reject_unseen(self.task, positions, names, codes, self.classes)
        values = np.maximum(np.append(positions, -1)[codes], 0)
        return Target(torch.from_numpy(values), torch.from_numpy(codes >= 0), weight_tensor(labels))

    def row_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        losses = -self._log_probabilities(outputs).gather(1, values.unsqueeze(1)).squeeze(1)
        return losses if self.task.class_weights is None else losses * outputs.new_tensor(self.weights)[values]

    def predict(self, outputs: Tensor) -> Tensor:
        logs = self._log_probabilities(outputs.double())
        return torch.softmax(logs - torch.log(logs.new_tensor(self.weights)), dim=1)

    def decide(self, predictions: NDArray[Any]) -> NDArray[Any]:
        return np.array(self.classes, dtype=object)[median_rank(np.asarray(predictions))]

    def truth(self, values: Tensor) -> NDArray[Any]:
        return values.cpu().numpy()

    def metrics(self) -> dict[str, Metric]:
        return {metric.name: metric for metric in _METRICS}

    def _log_probabilities(self, outputs: Tensor) -> Tensor:
        # sigmoid(a) - sigmoid(b) = sigmoid(a) sigmoid(-b) (1 - exp(b - a)), and a - b = softplus(z) makes the last
        # factor sigmoid(z): every class is a product of sigmoids, so no difference can cancel or go negative.
        first, distances = self._start(outputs)
        steps = distances + outputs[:, 1:]
        logits = first + outputs[:, :1] - functional.pad(functional.softplus(steps).cumsum(1), (1, 0))
        above, below = functional.logsigmoid(logits), functional.logsigmoid(-logits)
        inner = above[:, :-1] + below[:, 1:] + functional.logsigmoid(steps)
        return torch.cat([below[:, :1], inner, above[:, -1:]], 1)

    def _start(self, like: Tensor) -> tuple[Tensor, Tensor]:
        # Log odds of P(y > k) under the (weighted) training frequencies; classes without rows get a little.
        shares = np.array(self.priors) * np.array(self.weights)
        shares = np.maximum(shares / shares.sum(), 1e-4)
        beyond = 1.0 - (shares / shares.sum()).cumsum()[:-1]
        logits = like.new_tensor(np.log(beyond) - np.log1p(-beyond))
        return logits[:1], inverse_softplus(logits[:-1] - logits[1:])


def _ascending(task: Task, names: list[str]) -> list[str]:
    try:
        return sorted(names, key=float)
    except ValueError:
        listed = ", ".join(repr(name) for name in names[:6])
        raise DataError(
            f"task {task.name!r} is ordinal, but the order of its labels ({listed}) is unknown: "
            "list all classes in classes=, lowest first."
        ) from None
