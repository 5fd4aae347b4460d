"""How good the decisions are: accuracy, F1 and their relatives.

A prediction decides for the positive class at a probability of one half or more, or for the most probable class (the
first of equals). Ordinal tasks decide differently: see :mod:`accord.tasks.metrics.rank`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from accord.tasks.metrics.metric import Floats, Metric, Scorer, mean_of, ratio


def decisions(predictions: Floats) -> NDArray[np.int64]:
    """Return the decided class ``[N]`` for probabilities ``[N]`` or ``[N, C]``."""
    return (predictions >= 0.5).astype(np.int64) if predictions.ndim == 1 else predictions.argmax(1)


def class_sums(codes: NDArray[np.int64], classes: int) -> Scorer:
    """Return a function of weights ``[R, N]`` to the weight of each class ``[R, classes]``."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.append(True, np.diff(codes[order]) != 0)[: len(order)])
    present = codes[order][starts]

    def sums(weights: Floats) -> Floats:
        found = np.zeros((len(weights), classes))
        if len(starts):
            found[:, present] = np.add.reduceat(weights.take(order, axis=1), starts, axis=1)
        return found

    return sums


def _tables(predictions: Floats, truth: Floats) -> Callable[[Floats], tuple[Floats, Floats, Floats]]:
    # Per class [R, C]: weight decided rightly, weight of the class, weight decided for it. One pass over the rows sums
    # the pairs of class and decision that occur, and all three are sums of these.
    classes = 2 if predictions.ndim == 1 else predictions.shape[1]
    pairs, codes = np.unique(truth.astype(np.int64) * classes + decisions(predictions), return_inverse=True)
    actual, decided = np.divmod(pairs, classes)
    right = actual == decided
    of_pair, of_right = class_sums(codes, len(pairs)), class_sums(actual[right], classes)
    of_class, for_class = class_sums(actual, classes), class_sums(decided, classes)

    def tables(weights: Floats) -> tuple[Floats, Floats, Floats]:
        found = of_pair(weights)
        return of_right(found[:, right]), of_class(found), for_class(found)

    return tables


def _accuracy(predictions: Floats, truth: Floats) -> Scorer:
    return mean_of((decisions(predictions) == truth).astype(np.float64))


def _balanced_accuracy(predictions: Floats, truth: Floats) -> Scorer:
    # Mean recall over the classes that occur.
    tables = _tables(predictions, truth)

    def score(weights: Floats) -> Floats:
        right, actual, _ = tables(weights)
        return _mean_over(actual > 0, np.divide(right, actual, out=np.zeros_like(right), where=actual > 0))

    return score


def _f1(predictions: Floats, truth: Floats) -> Scorer:
    tables = _tables(predictions, truth)

    def score(weights: Floats) -> Floats:
        right, actual, decided = tables(weights)
        return ratio(2 * right[:, 1], actual[:, 1] + decided[:, 1])

    return score


def _macro_f1(predictions: Floats, truth: Floats) -> Scorer:
    # Mean F1 over the classes that occur or are decided for; 0 for one that is never right.
    tables = _tables(predictions, truth)

    def score(weights: Floats) -> Floats:
        right, actual, decided = tables(weights)
        both = actual + decided
        return _mean_over(both > 0, np.divide(2 * right, both, out=np.zeros_like(right), where=both > 0))

    return score


def _matthews(predictions: Floats, truth: Floats) -> Scorer:
    # Correlation between decision and truth for any number of classes (Gorodkin, 2004).
    tables = _tables(predictions, truth)

    def score(weights: Floats) -> Floats:
        right, actual, decided = tables(weights)
        total = weights.sum(1)
        covariance = right.sum(1) * total - (actual * decided).sum(1)
        spread = (total**2 - (actual**2).sum(1)) * (total**2 - (decided**2).sum(1))
        return ratio(covariance, np.sqrt(np.maximum(spread, 0.0)))

    return score


def _mean_over(chosen: NDArray[np.bool_], values: Floats) -> Floats:
    return ratio(np.where(chosen, values, 0.0).sum(1), chosen.sum(1).astype(np.float64))


def top_k(k: int) -> Metric:
    """Return the share of rows whose class is among the ``k`` most probable (of equals, the first classes)."""

    def prepare(predictions: Floats, truth: Floats) -> Scorer:
        best = np.argsort(-predictions, axis=1, kind="stable")[:, :k]
        return mean_of((best == truth[:, None]).any(1).astype(np.float64))

    return Metric(f"top_{k}", f"top-{k} accuracy", True, "points", 100.0, prepare)


ACCURACY = Metric("accuracy", "accuracy", True, "points", 100.0, _accuracy)
BALANCED_ACCURACY = Metric("balanced_accuracy", "balanced accuracy", True, "points", 100.0, _balanced_accuracy)
F1 = Metric("f1", "F1", True, "points", 100.0, _f1)
MACRO_F1 = Metric("macro_f1", "macro F1", True, "points", 100.0, _macro_f1)
MATTHEWS = Metric("matthews", "Matthews correlation", True, "points", 100.0, _matthews)
