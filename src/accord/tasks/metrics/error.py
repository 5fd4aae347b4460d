"""How far numbers are off: RMSE, MAE, R2, Poisson deviance."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.tasks.metrics.metric import Floats, Metric, Scorer, mean_of, ratio, weighted_sums


def _rmse(predictions: Floats, truth: Floats) -> Scorer:
    mean = mean_of((predictions - truth) ** 2)
    return lambda weights: np.sqrt(mean(weights))


def _mae(predictions: Floats, truth: Floats) -> Scorer:
    return mean_of(np.abs(predictions - truth))


def _r2(predictions: Floats, truth: Floats) -> Scorer:
    # Centring first keeps the variance of, say, years from drowning in rounding; it changes nothing else.
    centred = truth - truth.mean() if len(truth) else truth
    columns = np.stack([(predictions - truth) ** 2, centred**2, centred, np.ones(len(truth))], axis=1)

    def score(weights: NDArray[Any]) -> Floats:
        missed, squares, plain, total = weighted_sums(weights, columns).T
        spread = squares - ratio(plain**2, total)
        return 1.0 - ratio(missed, np.where(spread > 1e-12 * squares, spread, 0.0))

    return score


def _poisson_deviance(predictions: Floats, truth: Floats) -> Scorer:
    # 2 (y log(y / mu) - y + mu), with y log y = 0 at y = 0 (McCullagh & Nelder, 1989).
    from scipy.special import xlogy  # costs a command half a second that rarely needs it

    rate = np.maximum(predictions, np.finfo(np.float64).tiny)
    return mean_of(2.0 * (xlogy(truth, truth / rate) - truth + predictions))


RMSE = Metric("rmse", "RMSE", False, "", 1.0, _rmse)
MAE = Metric("mae", "MAE", False, "", 1.0, _mae)
R2 = Metric("r2", "R2", True, "points", 100.0, _r2)
POISSON_DEVIANCE = Metric("poisson_deviance", "Poisson deviance", False, "", 1.0, _poisson_deviance)
