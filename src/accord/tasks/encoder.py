"""From labels to targets and from outputs to predictions: the contract that every kind of task implements."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accord.errors import DataError, RunError, suggest
from accord.tasks.labels import Floats, Labels
from accord.tasks.metrics.metric import Metric, Scorer, take_rows
from accord.tasks.target import Target

if TYPE_CHECKING:
    from accord.tasks.task import Task


class Loss(NamedTuple):
    """A loss a kind offers: the metric it is judged by unless the task says otherwise, and its parameters."""

    primary: str
    parameters: Mapping[str, Parameter] = MappingProxyType({})


class Parameter(NamedTuple):
    """A number that a loss takes: its default and its range ``low <= value < high``."""

    default: float
    low: float
    high: float


@dataclass(frozen=True)
class TargetEncoder(ABC):
    """What one task learned from its training labels; each kind is one subclass in its own file.

    A subclass is a frozen dataclass whose fields are JSON values, so its state is its fields. Naming ``kind`` in the
    class body registers it.

    Attributes:
        task: the task it serves.
        kind: name of the kind.
        losses: loss name -> what it is; the first is the default.
        metric_names: metrics this kind can be judged by.
        default_metrics: those reported when the task names none.
        options: the kind-specific task options it reads.
        several_columns: whether it takes more than one label column.
        probabilities: whether predictions are probabilities of classes or labels, whose calibration can be judged.
    """

    task: Task

    kinds: ClassVar[dict[str, type[TargetEncoder]]] = {}
    kind: ClassVar[str]
    losses: ClassVar[Mapping[str, Loss]]
    metric_names: ClassVar[tuple[str, ...]]
    default_metrics: ClassVar[tuple[str, ...]]
    options: ClassVar[frozenset[str]] = frozenset()
    several_columns: ClassVar[bool] = False
    probabilities: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        TargetEncoder.kinds[cls.kind] = cls

    @staticmethod
    def fit(task: Task, labels: Labels, rows: NDArray[Any] | None = None) -> TargetEncoder:
        """Learn classes, scales and priors of ``task`` from the labels of the training ``rows`` (all when ``None``).

        Raises:
            DataError: the labels cannot be learned from (constant, all missing, wrong type, ...); names the task.
        """
        training = labels if rows is None else labels.take(rows)
        if training.weights is not None and len(training) and not training.weights.any():
            raise DataError(f"task {task.name!r}: all row weights are 0 in the training rows; nothing can be learned.")
        return TargetEncoder.kinds[task.kind].learn(task, training)

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> TargetEncoder:
        """Return the encoder that :meth:`state` described.

        Raises:
            RunError: the state is not one of ours.
        """
        from accord.tasks.task import Task

        try:
            values = {key: _frozen(value) for key, value in state.items() if key != "task"}
            task = Task.from_dict(state["task"])
            return TargetEncoder.kinds[task.kind](task, **values)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"the saved task encoder cannot be read: {error}. Is the run directory complete?") from error

    def state(self) -> dict[str, Any]:
        """Return everything learned as JSON values."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "task"}
        return {"task": self.task.to_dict(), **{key: _thawed(value) for key, value in fields.items()}}

    def scorers(self, predictions: NDArray[Any], target: Target) -> dict[str, Scorer]:
        """Return metric name -> function of row weights ``[R, N]`` to values ``[R]``, sorted once, cheap to call often.

        Args:
            predictions: ``[N, ...]`` as :meth:`predict` gives them.
            target: the encoded labels of the same N rows; unobserved rows are left out, row weights are applied.
        """
        return self._made(self.task.metrics, predictions, target)

    def scorer(self, metric: str, predictions: NDArray[Any], target: Target) -> Scorer:
        """Return one of :meth:`scorers`, without the work for the others."""
        return self._made((metric,), predictions, target)[metric]

    def _made(self, names: Sequence[str], predictions: NDArray[Any], target: Target) -> dict[str, Scorer]:
        truth = self.truth(target.values).astype(np.float64)
        observed = target.observed.cpu().numpy()
        if truth.ndim > 1:
            truth = np.where(observed, truth, np.nan)
            observed = observed.any(axis=1, keepdims=False)
        base = None if target.weights is None else target.weights.cpu().numpy().astype(np.float64)[observed]
        metrics = self.metrics()
        chosen = np.asarray(predictions, np.float64)[observed]
        return {name: _on_rows(metrics[name].scorer(chosen, truth[observed]), observed, base) for name in names}

    def evaluate(self, predictions: NDArray[Any], target: Target) -> dict[str, float]:
        """Return metric name -> value over the observed rows; NaN where undefined (one class only, no rows)."""
        ones = np.ones((1, len(target)), np.float32)
        return {name: float(score(ones)[0]) for name, score in self.scorers(predictions, target).items()}

    @classmethod
    @abstractmethod
    def learn(cls, task: Task, labels: Labels) -> Self:
        """Return the encoder learned from training labels only."""

    @property
    @abstractmethod
    def width(self) -> int:
        """How many numbers per row the task's head puts out."""

    @property
    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """Sentences about choices made from the data that the user may want to change."""

    @property
    @abstractmethod
    def prediction_names(self) -> tuple[str, ...]:
        """Name of each column of the predictions."""

    @abstractmethod
    def bias(self) -> Tensor:
        """Return outputs ``[width]`` whose prediction is the training average; heads start there."""

    @abstractmethod
    def encode(self, labels: Labels) -> Target:
        """Return the target of ``labels`` (any rows: training, validation, test).

        Raises:
            DataError: a label was not seen in training or cannot belong to this kind.
        """

    @abstractmethod
    def row_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        """Return the loss of each label, shaped like ``values`` (``[B]`` or ``[B, K]``), for ``outputs [B, width]``."""

    @abstractmethod
    def predict(self, outputs: Tensor) -> Tensor:
        """Return float64 predictions ``[B]`` or ``[B, columns]``: probabilities, or numbers in the labels' units."""

    @abstractmethod
    def decide(self, predictions: NDArray[Any]) -> NDArray[Any]:
        """Return one label (or number) per row, as the label column would hold it."""

    @abstractmethod
    def truth(self, values: Tensor) -> NDArray[Any]:
        """Return target values as metrics take them: class positions, or numbers in the labels' units."""

    @abstractmethod
    def metrics(self) -> dict[str, Metric]:
        """Return every metric of ``metric_names``, ready for this task's predictions."""


def require_labels(task: Task, observed: NDArray[np.bool_]) -> None:
    """Raise a :class:`DataError` when a training set has no label at all."""
    if not observed.any():
        rows = f"all {len(observed)} labels are missing" if len(observed) else "there are no rows"
        raise DataError(f"task {task.name!r}: {rows} in the training rows, so it cannot be trained. Drop the task.")


def class_positions(classes: tuple[str, ...], names: tuple[str, ...]) -> NDArray[np.int64]:
    """Return, for each of ``names``, its position in ``classes``; -2 where there is none."""
    position = {name: index for index, name in enumerate(classes)}
    return np.array([position.get(name, -2) for name in names], np.int64)


def reject_unseen(
    task: Task, positions: NDArray[np.int64], names: tuple[str, ...], codes: NDArray[np.int64], classes: tuple[str, ...]
) -> None:
    """Raise a :class:`DataError` that names the most frequent class that training never saw."""
    unseen = np.flatnonzero(positions == -2)
    counts = np.bincount(codes[codes >= 0], minlength=len(names))[unseen] if len(unseen) else np.zeros(0)
    if counts.any():
        worst = names[unseen[counts.argmax()]]
        raise DataError(
            f"task {task.name!r}: class {worst!r} ({int(counts.max())} rows; {int((counts > 0).sum())} such classes) "
            f"was not among the training labels. {suggest(worst, classes)} Make those labels missing, "
            "or train with them (list all classes in classes= where the kind has it)."
        )


def row_weights(labels: Labels) -> Floats:
    """Return the row weights ``[N]``, 1 each when there are none."""
    return np.ones(len(labels)) if labels.weights is None else labels.weights


def weight_tensor(labels: Labels) -> Tensor | None:
    """Return the row weights as a target carries them."""
    return None if labels.weights is None else torch.from_numpy(labels.weights.astype(np.float32))


def _on_rows(score: Scorer, rows: Any, base: Floats | None) -> Scorer:
    index = None if rows.all() else np.flatnonzero(rows)
    if index is None and base is None:
        return score

    def restricted(weights: NDArray[Any]) -> Floats:
        chosen = weights if index is None else take_rows(weights, index)
        return score(chosen if base is None else chosen * base)

    return restricted


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def _thawed(value: Any) -> Any:
    return [_thawed(item) for item in value] if isinstance(value, tuple) else value
