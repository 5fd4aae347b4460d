"""How good the probabilities themselves are: log loss and Brier score, for two classes or more."""

from __future__ import annotations

import numpy as np

from accord.tasks.metrics.metric import Floats, Metric, Scorer, mean_of

# A probability of exactly 0 for what happened would cost infinity; float64 sigmoids reach 0 and 1 only by rounding.
_TINY = 1e-15


def _log_loss(predictions: Floats, truth: Floats) -> Scorer:
    if predictions.ndim == 2:
        chosen = predictions[np.arange(len(truth)), truth.astype(np.int64)]
    else:
        chosen = np.where(truth > 0.5, predictions, 1.0 - predictions)
    return mean_of(-np.log(np.clip(chosen, _TINY, 1.0)))


def _brier(predictions: Floats, truth: Floats) -> Scorer:
    # Two classes: squared error of the positive probability. More: summed over classes (Brier, 1950).
    if predictions.ndim == 1:
        return mean_of((predictions - truth) ** 2)
    chosen = predictions[np.arange(len(truth)), truth.astype(np.int64)]
    return mean_of((predictions**2).sum(1) - 2.0 * chosen + 1.0)


LOG_LOSS = Metric("log_loss", "log loss", False, "", 1.0, _log_loss)
BRIER = Metric("brier", "Brier score", False, "points", 100.0, _brier)
