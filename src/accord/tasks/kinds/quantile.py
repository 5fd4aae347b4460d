"""A number's quantiles, which never cross."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from accord.tasks.encoder import Loss, TargetEncoder, row_weights, weight_tensor
from accord.tasks.increments import inverse_softplus
from accord.tasks.labels import Floats, Labels
from accord.tasks.metrics import Metric, coverage_error, middle_error, pinball
from accord.tasks.standard import Standard, one_column
from accord.tasks.target import Target

if TYPE_CHECKING:
    from accord.tasks.task import Task

# In standard deviations: where training quantiles coincide they still start a little apart, so that they can move.
_APART = 0.01


@dataclass(frozen=True)
class Quantile(TargetEncoder):
    """Several quantiles of a number by pinball loss (Koenker & Bassett, 1978); predictions ``[B, Q]`` in its units.

    The middle quantile is an output of its own, the others add positive steps (softplus) outwards from it, so they
    cannot cross. Outputs of 0 are the quantiles of the training labels. Labels are standardised for the loss.

    Attributes:
        mean: of the training labels, by row weight.
        scale: their standard deviation.
        starts: their quantiles, standardised.
    """

    mean: float
    scale: float
    starts: tuple[float, ...]

    kind: ClassVar[str] = "quantile"
    losses: ClassVar[Mapping[str, Loss]] = {"pinball": Loss("pinball")}
    metric_names: ClassVar[tuple[str, ...]] = ("pinball", "coverage_error", "mae")
    default_metrics: ClassVar[tuple[str, ...]] = ("pinball", "coverage_error", "mae")
    options: ClassVar[frozenset[str]] = frozenset({"quantiles"})

    @classmethod
    def learn(cls, task: Task, labels: Labels) -> Self:
        standard = Standard.learn(task, labels)
        numbers = one_column(task, labels)
        levels = np.array(task.quantiles)
        starts = (_weighted_quantiles(numbers, row_weights(labels), levels) - standard.mean) / standard.scale
        return cls(task, standard.mean, standard.scale, tuple(float(start) for start in starts))

    @property
    def width(self) -> int:
        return len(self.starts)

    @property
    def notes(self) -> tuple[str, ...]:
        return ()

    @property
    def prediction_names(self) -> tuple[str, ...]:
        return tuple(f"{self.task.name}@{level:g}" for level in self._levels)

    def bias(self) -> Tensor:
        return torch.zeros(self.width)

    def encode(self, labels: Labels) -> Target:
        numbers = one_column(self.task, labels)
        observed = ~np.isnan(numbers)
        values = np.where(observed, (numbers - self.mean) / self.scale, 0.0)
        return Target(torch.from_numpy(values.astype(np.float32)), torch.from_numpy(observed), weight_tensor(labels))

    def row_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        error = values.to(outputs.dtype).unsqueeze(1) - self._standardised(outputs)
        levels = outputs.new_tensor(self._levels)
        return torch.maximum(levels * error, (levels - 1.0) * error).mean(1)

    def predict(self, outputs: Tensor) -> Tensor:
        return self._standardised(outputs.double()) * self.scale + self.mean

    def decide(self, predictions: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(predictions)[:, len(self.starts) // 2]

    def truth(self, values: Tensor) -> NDArray[Any]:
        return values.cpu().double().numpy() * self.scale + self.mean

    def metrics(self) -> dict[str, Metric]:
        levels = self._levels
        return {metric.name: metric for metric in (pinball(levels), coverage_error(levels), middle_error(levels))}

    @property
    def _levels(self) -> tuple[float, ...]:
        return tuple(self.task.quantiles or ())

    def _standardised(self, outputs: Tensor) -> Tensor:
        middle = len(self.starts) // 2
        starts = outputs.new_tensor(self.starts)
        gaps = inverse_softplus(starts.diff().clamp(min=_APART))
        centre = starts[middle] + outputs[:, middle : middle + 1]
        below = functional.softplus(gaps[:middle] + outputs[:, :middle])
        above = functional.softplus(gaps[middle:] + outputs[:, middle + 1 :])
        down = centre - below.flip(1).cumsum(1).flip(1)
        return torch.cat([down, centre, centre + above.cumsum(1)], 1)


def _weighted_quantiles(numbers: Floats, weights: Floats, levels: Floats) -> Floats:
    # The smallest label whose share of the weight, with all below it, reaches the level.
    kept = ~np.isnan(numbers) & (weights > 0)
    order = np.argsort(numbers[kept])
    share = weights[kept][order].cumsum()
    place = np.searchsorted(share, levels * share[-1] * (1 - 1e-12))
    return numbers[kept][order][place]
