"""How good predicted quantiles are: pinball loss and coverage."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from accord.tasks.metrics.metric import Floats, Metric, Scorer, mean_of


def pinball(levels: Sequence[float]) -> Metric:
    """Return the mean over ``levels`` of ``max(q e, (q - 1) e)``, ``e = truth - prediction`` (Koenker & Bassett, 1978).

    In the labels' units; at level 0.5 it is half the absolute error.
    """

    def prepare(predictions: Floats, truth: Floats) -> Scorer:
        error, level = truth[:, None] - predictions, np.asarray(levels)
        return mean_of(np.maximum(level * error, (level - 1.0) * error).mean(1))

    return Metric("pinball", "pinball loss", False, "", 1.0, prepare)


def coverage_error(levels: Sequence[float]) -> Metric:
    """Return the distance between how often truth lies where it should and how often it does.

    That is between the outermost quantiles; with a single level, at or below it.
    """
    nominal = levels[-1] - levels[0] if len(levels) > 1 else levels[0]

    def prepare(predictions: Floats, truth: Floats) -> Scorer:
        above = truth >= predictions[:, 0] if len(levels) > 1 else np.ones(len(truth), np.bool_)
        covered = mean_of((above & (truth <= predictions[:, -1])).astype(np.float64))
        return lambda weights: np.abs(covered(weights) - nominal)

    return Metric("coverage_error", "coverage error", False, "points", 100.0, prepare)


def middle_error(levels: Sequence[float]) -> Metric:
    """Return the mean absolute error of the middle quantile."""
    middle = len(levels) // 2
    return Metric("mae", "MAE", False, "", 1.0, lambda guess, truth: mean_of(np.abs(guess[:, middle] - truth)))
