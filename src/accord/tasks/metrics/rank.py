"""How far ordinal decisions are off, in ranks.

A prediction decides for the median of its distribution, which has the smallest expected distance in ranks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from accord.tasks.metrics.metric import Floats, Metric, Scorer, mean_of, ratio, weighted_sums


def median_rank(probabilities: Floats) -> NDArray[np.int64]:
    """Return the first rank ``[N]`` at which the probabilities ``[N, C]`` add up to one half."""
    reached = probabilities.cumsum(1) >= 0.5 - 1e-12
    return np.where(reached.any(1), reached.argmax(1), probabilities.shape[1] - 1)


def _quadratic_kappa(probabilities: Floats, truth: Floats) -> Scorer:
    # 1 - sum of squared distances / what they would be if decision and truth were independent (Cohen, 1968). The
    # independent one needs only first and second moments, so no confusion table is built.
    decided = median_rank(probabilities).astype(np.float64)
    columns = np.stack([(decided - truth) ** 2, decided, truth, decided**2, truth**2, np.ones(len(truth))], axis=1)

    def score(weights: NDArray[Any]) -> Floats:
        sums = weighted_sums(weights, columns)
        squared, *moments = ratio(sums[:, :-1], np.repeat(sums[:, -1:], 5, axis=1)).T
        expected = moments[2] + moments[3] - 2.0 * moments[0] * moments[1]
        return 1.0 - ratio(squared, np.where(expected > 1e-12, expected, 0.0))

    return score


def _rank_error(probabilities: Floats, truth: Floats) -> Scorer:
    return mean_of(np.abs(median_rank(probabilities) - truth))


def _rank_accuracy(probabilities: Floats, truth: Floats) -> Scorer:
    return mean_of((median_rank(probabilities) == truth).astype(np.float64))


QUADRATIC_KAPPA = Metric("quadratic_kappa", "quadratic kappa", True, "points", 100.0, _quadratic_kappa)
RANK_ERROR = Metric("mae", "MAE in ranks", False, "", 1.0, _rank_error)
RANK_ACCURACY = Metric("accuracy", "accuracy", True, "points", 100.0, _rank_accuracy)
