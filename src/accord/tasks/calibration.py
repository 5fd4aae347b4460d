"""Do events predicted with 30 % happen in 30 % of cases? Reliability curves and the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from accord.errors import ConfigurationError, suggest
from accord.tasks.encoder import TargetEncoder
from accord.tasks.labels import Floats
from accord.tasks.target import Target


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """Predicted against observed frequency of one event, in bins of the predicted probability.

    Attributes:
        label: the event.
        ece: expected calibration error, between 0 and 1: mean of ``|frequency - confidence|`` by weight of the bins.
        count: ``[bins]`` weight (number of rows without weights) of each bin; empty bins are left out.
        confidence: ``[bins]`` mean predicted probability.
        frequency: ``[bins]`` share of rows where it happened.
    """

    label: str
    ece: float
    count: Floats
    confidence: Floats
    frequency: Floats


def reliability_curve(
    probabilities: NDArray[Any],
    happened: NDArray[Any],
    weights: NDArray[Any] | None = None,
    *,
    bins: int = 15,
    scheme: Literal["mass", "width"] = "mass",
    label: str = "",
) -> Reliability:
    """Return the reliability of ``probabilities`` ``[N]`` for an event.

    Args:
        probabilities: predicted, between 0 and 1.
        happened: 0 or 1.
        weights: row weights.
        bins: how many at most.
        scheme: ``"mass"``, the default: bins of equal weight, rows of one probability staying together (adaptive
            binning; Nixon et al., 2019). Equal ``"width"`` (Guo et al., 2017) puts nearly all rows of a rare event
            into its first bin and says little about it.
        label: name of the event.
    """
    if scheme not in ("mass", "width"):
        raise ConfigurationError(f"unknown binning {scheme!r}. {suggest(scheme, ('mass', 'width'))}")
    predicted = np.asarray(probabilities, np.float64)
    rows = np.ones(len(predicted)) if weights is None else np.asarray(weights, np.float64)
    place = _equal_mass(predicted, rows, bins) if scheme == "mass" else _equal_width(predicted, bins)
    count = np.bincount(place, rows, minlength=bins).astype(np.float64)
    filled = count > 0
    count = count[filled]
    confidence = np.bincount(place, rows * predicted, minlength=bins)[filled] / count
    frequency = np.bincount(place, rows * np.asarray(happened, np.float64), minlength=bins)[filled] / count
    ece = float(np.average(np.abs(frequency - confidence), weights=count)) if len(count) else float("nan")
    return Reliability(label, ece, count, confidence, frequency)


def reliability(
    encoder: TargetEncoder,
    predictions: NDArray[Any],
    target: Target,
    *,
    bins: int = 15,
    scheme: Literal["mass", "width"] = "mass",
) -> list[Reliability]:
    """Return one curve per class (one for binary, one per label for multilabel); none for kinds without probabilities.

    Args:
        encoder: of the task.
        predictions: ``[N]`` or ``[N, C]``, as the encoder predicts.
        target: of the same rows; only observed labels count.
        bins: see :func:`reliability_curve`.
        scheme: see :func:`reliability_curve`.
    """
    if not encoder.probabilities:
        return []
    predicted = np.asarray(predictions, np.float64)
    predicted = predicted[:, None] if predicted.ndim == 1 else predicted
    truth, observed = encoder.truth(target.values), target.observed.cpu().numpy()
    if truth.ndim == 1:
        classes = np.arange(predicted.shape[1]) if predicted.shape[1] > 1 else np.ones(1)
        truth, observed = truth[:, None] == classes, np.repeat(observed[:, None], predicted.shape[1], 1)
    weights = np.ones(len(target)) if target.weights is None else target.weights.cpu().numpy()
    return [
        reliability_curve(
            predicted[seen, k], truth[seen, k], weights[seen], bins=bins, scheme=scheme, label=name.partition("=")[2]
        )
        for k, name in enumerate(encoder.prediction_names)
        for seen in [observed[:, k]]
    ]


def _equal_width(predicted: Floats, bins: int) -> NDArray[np.int64]:
    return np.minimum((predicted * bins).astype(np.int64), bins - 1)


def _equal_mass(predicted: Floats, weights: Floats, bins: int) -> NDArray[np.int64]:
    # A row's bin is where the middle of its probability's share of the weight falls.
    values, group = np.unique(predicted, return_inverse=True)
    mass = np.bincount(group, weights, minlength=len(values))
    total = mass.sum()
    middle = (mass.cumsum() - mass / 2) / total if total > 0 else np.zeros(len(values))
    return np.minimum((middle * bins).astype(np.int64), bins - 1)[group]
