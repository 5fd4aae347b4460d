"""How well scores order the rows: AUC, average precision, rank correlation."""

from __future__ import annotations

import numpy as np

from accord.tasks.metrics.metric import Floats, Metric, Scorer, ratio


def _auc(scores: Floats, truth: Floats) -> Scorer:
    # P(score of a positive > score of a negative) + half of P(equal) (Hanley & McNeil, 1982). Only the negatives are
    # accumulated and only the positives look up, so a resample costs one gather of each and one cumulative sum.
    positive, negative = np.flatnonzero(truth > 0.5), np.flatnonzero(truth <= 0.5)
    positive = positive[np.argsort(scores[positive], kind="stable")]
    negative = negative[np.argsort(scores[negative], kind="stable")]
    below = np.searchsorted(scores[negative], scores[positive], side="left")
    upto = np.searchsorted(scores[negative], scores[positive], side="right")
    tied = bool((below != upto).any())

    def score(weights: Floats) -> Floats:
        seen = np.zeros((len(weights), len(negative) + 1))
        np.cumsum(weights.take(negative, axis=1), axis=1, out=seen[:, 1:])
        beaten = seen.take(below, axis=1)
        if tied:
            beaten = (beaten + seen.take(upto, axis=1)) / 2
        wanted = weights.take(positive, axis=1)
        return ratio(np.einsum("rp,rp->r", wanted, beaten), wanted.sum(1) * seen[:, -1])

    return score


def _average_precision(scores: Floats, truth: Floats) -> Scorer:
    # Sum over thresholds of recall gained times precision there; rows with one score enter together.
    order = np.argsort(-scores, kind="stable")
    positive = (truth[order] > 0.5).astype(np.float64)
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True)) if len(order) else order

    def score(weights: Floats) -> Floats:
        rows = weights.take(order, axis=1)
        hits = np.cumsum(rows * positive, axis=1)[:, last]
        drawn = np.cumsum(rows, axis=1)[:, last]
        precision = np.divide(hits, drawn, out=np.zeros_like(hits), where=drawn > 0)
        gained = np.diff(hits, axis=1, prepend=0.0)
        return ratio((gained * precision).sum(1), gained.sum(1))

    return score


def _midranks(values: Floats) -> Scorer:
    # Weighted mid-ranks [R, N]: the weight below plus half of the weight at the same value.
    order = np.argsort(values, kind="stable")
    group = np.cumsum(np.append(True, np.diff(values[order]) != 0)) - 1
    last = np.flatnonzero(np.append(np.diff(group) != 0, True))
    back = np.empty(len(order), np.int64)
    back[order] = group

    def ranks(weights: Floats) -> Floats:
        upto = np.cumsum(weights.take(order, axis=1), axis=1)[:, last]
        middle = (upto + np.concatenate([np.zeros((len(upto), 1)), upto[:, :-1]], axis=1)) / 2
        return middle.take(back, axis=1)

    return ranks


def _spearman(predictions: Floats, truth: Floats) -> Scorer:
    if not len(truth):
        return lambda weights: np.full(len(weights), np.nan)
    first, second = _midranks(predictions), _midranks(truth)

    def score(weights: Floats) -> Floats:
        total = weights.sum(1, keepdims=True)
        x, y = first(weights), second(weights)
        x = x - ratio((weights * x).sum(1, keepdims=True), total)
        y = y - ratio((weights * y).sum(1, keepdims=True), total)
        spread = np.sqrt((weights * x * x).sum(1) * (weights * y * y).sum(1))
        return ratio((weights * x * y).sum(1), spread)

    return score


AUC = Metric("auc", "AUC", True, "points", 100.0, _auc)
AVERAGE_PRECISION = Metric("average_precision", "average precision", True, "points", 100.0, _average_precision)
SPEARMAN = Metric("spearman", "Spearman correlation", True, "points", 100.0, _spearman)
