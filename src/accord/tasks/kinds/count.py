"""How often: a rate on a logarithmic scale."""

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

from accord.errors import DataError
from accord.tasks.encoder import Loss, TargetEncoder, weight_tensor
from accord.tasks.labels import Floats, Labels
from accord.tasks.metrics import MAE, POISSON_DEVIANCE, R2, RMSE, SPEARMAN, Metric
from accord.tasks.standard import Standard, one_column
from accord.tasks.target import Target

if TYPE_CHECKING:
    from accord.tasks.task import Task

_METRICS = (POISSON_DEVIANCE, RMSE, MAE, R2, SPEARMAN)
# exp(20) is half a billion times the average; from there the rate goes on linearly instead of overflowing.
_STEEP = 20.0


@dataclass(frozen=True)
class Count(TargetEncoder):
    """Counts 0, 1, 2, ...; predictions are expected counts.

    The rate is ``mean * exp(output)``, so an output of 0 is the training average. Two losses:

    * ``poisson``: half the Poisson deviance, which is the negative log-likelihood less its smallest possible value:
      the same gradient, but 0 when perfect. It is divided by the variance-to-mean ratio of the training counts where
      that exceeds 1 (quasi-likelihood; McCullagh & Nelder, 1989), so that counts in the thousands do not outweigh
      every other task.
    * ``negative_binomial``: negative log-likelihood with variance ``rate + alpha rate^2`` (NB2), ``alpha`` being a
      second output.

    Attributes:
        mean: of the training counts, by row weight.
        dispersion: their variance divided by their mean.
    """

    mean: float
    dispersion: float

    kind: ClassVar[str] = "count"
    losses: ClassVar[Mapping[str, Loss]] = {
        "poisson": Loss("poisson_deviance"),
        "negative_binomial": Loss("poisson_deviance"),
    }
    metric_names: ClassVar[tuple[str, ...]] = tuple(metric.name for metric in _METRICS)
    default_metrics: ClassVar[tuple[str, ...]] = ("poisson_deviance", "rmse", "mae", "spearman")

    @classmethod
    def learn(cls, task: Task, labels: Labels) -> Self:
        _counts(task, labels)
        standard = Standard.learn(task, labels)
        return cls(task, standard.mean, standard.scale**2 / standard.mean)

    @property
    def width(self) -> int:
        return 2 if self.task.loss == "negative_binomial" else 1

    @property
    def notes(self) -> tuple[str, ...]:
        if self.task.loss != "poisson" or self.dispersion < 4.0:
            return ()
        return (
            f"task {self.task.name!r}: counts vary {self.dispersion:.1f} times as much as Poisson counts would; "
            'loss="negative_binomial" may fit better.',
        )

    @property
    def prediction_names(self) -> tuple[str, ...]:
        return (self.task.name,)

    def bias(self) -> Tensor:
        return torch.zeros(self.width)

    def encode(self, labels: Labels) -> Target:
        numbers = _counts(self.task, labels)
        observed = ~np.isnan(numbers)
        values = torch.from_numpy(np.where(observed, numbers, 0.0).astype(np.float32))
        return Target(values, torch.from_numpy(observed), weight_tensor(labels))

    def row_loss(self, outputs: Tensor, values: Tensor) -> Tensor:
        if self.task.loss == "negative_binomial":
            return self._negative_binomial(outputs, values)
        rate, log_rate = self._rate(outputs[:, 0])
        values = values.to(outputs.dtype)
        return (torch.xlogy(values, values) - values * log_rate - values + rate) / max(self.dispersion, 1.0)

    def predict(self, outputs: Tensor) -> Tensor:
        return self._rate(outputs[:, 0].double())[0]

    def decide(self, predictions: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(predictions)

    def truth(self, values: Tensor) -> NDArray[Any]:
        return values.cpu().numpy().astype(np.int64)

    def metrics(self) -> dict[str, Metric]:
        return {metric.name: metric for metric in _METRICS}

    def _rate(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        # The exponential up to _STEEP, its tangent beyond; also the logarithm of that.
        beyond = (outputs - _STEEP).clamp(min=0.0)
        rate = self.mean * outputs.clamp(max=_STEEP).exp() * (1.0 + beyond)
        return rate, math.log(self.mean) + outputs.clamp(max=_STEEP) + torch.log1p(beyond)

    def _negative_binomial(self, outputs: Tensor, values: Tensor) -> Tensor:
        # In float64: differences of log-gammas cancel.
        rate, log_rate = self._rate(outputs[:, 0].double())
        counts = values.double()
        usual = min(max((self.dispersion - 1.0) / self.mean, 0.05), 10.0)
        alpha = functional.softplus(outputs[:, 1].double() + math.log(math.expm1(usual))) + 1e-4
        size = 1.0 / alpha
        shape = torch.lgamma(counts + size) - torch.lgamma(size) - torch.lgamma(counts + 1.0)
        spread = torch.log1p(alpha * rate)
        return (-shape + size * spread - counts * (alpha.log() + log_rate - spread)).to(outputs.dtype)


def _counts(task: Task, labels: Labels) -> Floats:
    numbers = one_column(task, labels)
    for wrong, what, way in (
        (numbers < 0, "negative", "Make them missing, or choose"),
        (numbers != np.round(numbers), "not whole", "Round them, or choose"),
    ):
        wrong = wrong & ~np.isnan(numbers)
        if wrong.any():
            raise DataError(
                f"task {task.name!r}: {int(wrong.sum())} counts are {what} ({numbers[wrong][0]:g} in row "
                f'{int(wrong.argmax())}). {way} kind "regression".'
            )
    return numbers
