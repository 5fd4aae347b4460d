"""What a metric is: a number with a direction and a way to say a difference, cheap under thousands of reweightings."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Row weights [R, N] to values [R] in float64; NaN where the metric is undefined (no rows, one class only). Weights are
# float64, or float32 where they are whole numbers, which takes half the time; Fortran order saves every metric a copy.
Scorer = Callable[[NDArray[Any]], Floats]


@dataclass(frozen=True, slots=True)
class Metric:
    """One way to judge predictions.

    Attributes:
        name: how configurations and files call it.
        label: how people call it.
        higher_is_better: its direction.
        unit: what a difference is counted in, e.g. ``"points"``; may be empty.
        scale: factor from the metric to that unit, e.g. 100 for points.
        function: predictions ``[N, ...]`` and truth ``[N, ...]`` to a :data:`Scorer`. Whatever does not depend on row
            weights (sorting, residuals) is done there, once.
    """

    name: str
    label: str
    higher_is_better: bool
    unit: str
    scale: float
    function: Callable[[Floats, Floats], Scorer]

    def scorer(self, predictions: NDArray[Any], truth: NDArray[Any]) -> Scorer:
        """Return a function of row weights ``[R, N]`` to values ``[R]``; NaN when a prediction is not finite."""
        predictions, truth = np.asarray(predictions, np.float64), np.asarray(truth, np.float64)
        if not np.isfinite(predictions).all():
            return lambda weights: np.full(len(weights), np.nan)
        return self.function(predictions, truth)

    def __call__(self, predictions: NDArray[Any], truth: NDArray[Any], weights: NDArray[Any] | None = None) -> float:
        """Return the metric, with row ``weights`` ``[N]`` when given; NaN where it is undefined."""
        rows = np.ones(len(truth), np.float32) if weights is None else np.asarray(weights, np.float64)
        return float(self.scorer(predictions, truth)(rows[None])[0])

    def bootstrap(self, predictions: NDArray[Any], truth: NDArray[Any], weights: NDArray[Any]) -> Floats:
        """Return one value per row of ``weights`` ``[R, N]``: how often each row was drawn in each resample.

        Memory is a few times that of ``weights``: pass a chunk of resamples at a time, through one :meth:`scorer`.
        """
        return self.scorer(predictions, truth)(np.asarray(weights, np.float64))

    def words(self, difference: float, low: float | None = None, high: float | None = None) -> str:
        """Return a difference for people, e.g. ``"+0.4 AUC points [0.2, 0.6]"``.

        All three numbers stop at the first significant digit of the interval's half width; without an interval two
        significant digits of the difference are kept.
        """
        value, name = difference * self.scale, f"{self.label} {self.unit}".rstrip()
        if low is None or high is None:
            return f"{value:+.2g} {name}"
        size = (high - low) * self.scale / 2
        digits = min(6, max(0, -math.floor(math.log10(size)))) if math.isfinite(size) and size > 0 else 1
        return f"{value:+.{digits}f} {name} [{low * self.scale:.{digits}f}, {high * self.scale:.{digits}f}]"


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Return ``numerator / denominator`` with NaN where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.full(np.shape(numerator), np.nan), where=denominator != 0)


def weighted_sums(weights: NDArray[Any], columns: Floats) -> Floats:
    """Return the sums ``[R, K]`` of ``columns`` ``[N, K]`` under weights ``[R, N]``, in float64 whatever these are."""
    return weights.astype(np.float64, copy=False) @ columns


def mean_of(values: Floats) -> Scorer:
    """Return the scorer of a weighted mean of per-row ``values`` ``[N]``."""
    columns = np.stack([values, np.ones(len(values))], axis=1)

    def score(weights: NDArray[Any]) -> Floats:
        sums = weighted_sums(weights, columns)
        return ratio(sums[:, 0], sums[:, 1])

    return score


def take_rows(weights: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return the weights ``[R, n]`` of the given rows, in Fortran order."""
    return weights.T.take(rows, axis=0).T


def over_columns(function: Callable[[Floats, Floats], Scorer]) -> Callable[[Floats, Floats], Scorer]:
    """Return ``function`` averaged over label columns ``[N, K]``, each on its own rows where truth is not NaN.

    A column on which the metric is undefined is left out of the mean.
    """

    def prepare(predictions: Floats, truth: Floats) -> Scorer:
        rows = [np.flatnonzero(~np.isnan(column)) for column in truth.T]
        parts = [function(predictions[index, k], truth[index, k]) for k, index in enumerate(rows)]

        def score(weights: NDArray[Any]) -> Floats:
            own = (weights if len(index) == len(truth) else take_rows(weights, index) for index in rows)
            values = np.stack([part(chosen) for part, chosen in zip(parts, own, strict=True)])
            defined = ~np.isnan(values)
            return ratio(np.where(defined, values, 0.0).sum(0), defined.sum(0).astype(np.float64))

        return score

    return prepare
