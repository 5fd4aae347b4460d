"""How good the decisions are: accuracy, F1 and their relatives.

A prediction decides for the positive class at a probability of one half or more, or for the most probable class (the
first of equals). Ordinal tasks decide differently: see :mod:`accord.tasks.metrics.rank`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accord.tasks.metrics.metric import Floats, Metric, Scorer, mean_of
from accord.tasks.metrics.sums import Groups, by_row, quotient


def decisions(predictions: Floats) -> NDArray[np.int64]:
    """Return the decided class ``[N]`` for probabilities ``[N]`` or ``[N, C]``."""
    return (predictions >= 0.5).astype(np.int64) if predictions.ndim == 1 else predictions.argmax(1)


def _of_table(value: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Callable[[Floats, Floats], Scorer]:
    # Per class [C, R]: weight decided rightly, weight of the class, weight decided for it. One pass over the rows sums
    # the pairs of class and decision that occur, and all three are sums of these.
    def prepare(predictions: Floats, truth: Floats) -> Scorer:
        classes = 2 if predictions.ndim == 1 else predictions.shape[1]
        pairs, codes = np.unique(truth.astype(np.int64) * classes + decisions(predictions), return_inverse=True)
        actual, decided = map(torch.from_numpy, np.divmod(pairs, classes))
        right, groups = actual == decided, Groups.of(codes, len(pairs))

        def score(weights: NDArray[Any]) -> Floats:
            sums = groups.sums(by_row(weights)).double()
            none = sums.new_zeros(classes, sums.shape[1])
            rightly = none.index_add(0, actual[right], sums[right])
            return value(rightly, none.index_add(0, actual, sums), none.index_add(0, decided, sums)).numpy()

        return score

    return prepare


def _accuracy(predictions: Floats, truth: Floats) -> Scorer:
    return mean_of((decisions(predictions) == truth).astype(np.float64))


def _balanced_accuracy(right: Tensor, actual: Tensor, _decided: Tensor) -> Tensor:
    # Mean recall over the classes that occur.
    return quotient(right, actual).nanmean(0)


def _f1(right: Tensor, actual: Tensor, decided: Tensor) -> Tensor:
    return quotient(2 * right[1], actual[1] + decided[1])


def _macro_f1(right: Tensor, actual: Tensor, decided: Tensor) -> Tensor:
    # Mean F1 over the classes that occur or are decided for; 0 for one that is never right.
    return quotient(2 * right, actual + decided).nanmean(0)


def _matthews(right: Tensor, actual: Tensor, decided: Tensor) -> Tensor:
    # Correlation between decision and truth for any number of classes (Gorodkin, 2004).
    total = actual.sum(0)
    covariance = right.sum(0) * total - (actual * decided).sum(0)
    spread = (total**2 - (actual**2).sum(0)) * (total**2 - (decided**2).sum(0))
    return quotient(covariance, spread.clamp(min=0.0).sqrt())


def top_k(k: int) -> Metric:
    """Return the share of rows whose class is among the ``k`` most probable (of equals, the first classes)."""

    def prepare(predictions: Floats, truth: Floats) -> Scorer:
        best = np.argsort(-predictions, axis=1, kind="stable")[:, :k]
        return mean_of((best == truth[:, None]).any(1).astype(np.float64))

    return Metric(f"top_{k}", f"top-{k} accuracy", True, "points", 100.0, prepare)


ACCURACY = Metric("accuracy", "accuracy", True, "points", 100.0, _accuracy)
BALANCED_ACCURACY = Metric(
    "balanced_accuracy", "balanced accuracy", True, "points", 100.0, _of_table(_balanced_accuracy)
)
F1 = Metric("f1", "F1", True, "points", 100.0, _of_table(_f1))
MACRO_F1 = Metric("macro_f1", "macro F1", True, "points", 100.0, _of_table(_macro_f1))
MATTHEWS = Metric("matthews", "Matthews correlation", True, "points", 100.0, _of_table(_matthews))
