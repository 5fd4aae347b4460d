"""How well scores order the rows: AUC, average precision, rank correlation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accord.tasks.metrics.metric import Floats, Metric, Scorer
from accord.tasks.metrics.sums import Groups, by_row, quotient, running
from accord.tasks.metrics.walks import Walks

# Weights of rows [N, R] to values [K, R] of K columns.
Values = Callable[[Tensor], Tensor]
# How many scores are walked at once: more save no time, and take memory.
AT_ONCE = 60_000


def _auc(scores: Floats, truth: Floats) -> Values:
    # P(score of a positive > score of a negative) + half of P(equal) (Hanley & McNeil, 1982): at each score of the
    # smaller class, the weight of the other one below it and half of that at it, which is the mean of below and up to.
    positive, labelled = truth > 0.5, ~np.isnan(truth)
    swapped = 2 * positive.sum(0) > labelled.sum(0)
    rare = (positive != swapped) & labelled
    walks, other = Walks(scores, rare, labelled & ~rare), torch.from_numpy(swapped)[:, None]

    def values(rows: Tensor) -> Tensor:
        at, between = walks.chosen.sums(rows), walks.between.sums(rows)
        below = running(between)
        beaten = below[walks.upto] + below[walks.below] if walks.tied else 2 * below[walks.upto]
        found = walks.by_column(at)
        wins = walks.by_column(at.double() * beaten) / 2 - found * below[walks.start]
        share = quotient(wins, found * walks.between_by_column(between))
        return torch.where(other, 1.0 - share, share)

    return values


def _average_precision(scores: Floats, truth: Floats) -> Values:
    # Sum over thresholds of recall gained times precision there; rows with one score enter together. Only thresholds
    # that a positive has count, so only these are looked up.
    walks = Walks(-scores, truth > 0.5, ~np.isnan(truth))

    def values(rows: Tensor) -> Tensor:
        gained, upto = walks.chosen.sums(rows), running(walks.between.sums(rows))
        found = walks.by_column(gained)
        hits = running(gained) - (found.cumsum(0) - found)[walks.column]
        drawn = upto[walks.upto] - upto[walks.start][walks.column]
        precision = (hits.double() / drawn).where(gained > 0, 0.0)
        return quotient(walks.by_column(gained * precision), found)

    return values


def _one(function: Callable[[Floats, Floats], Values]) -> Callable[[Floats, Floats], Scorer]:
    def prepare(scores: Floats, truth: Floats) -> Scorer:
        values = function(scores[:, None], truth[:, None])
        return lambda weights: values(by_row(weights))[0].numpy()

    return prepare


def _mean(function: Callable[[Floats, Floats], Values]) -> Callable[[Floats, Floats], Scorer]:
    # Over label columns [N, K], each on its own rows where truth is not NaN; one where it is undefined is left out.
    def prepare(scores: Floats, truth: Floats) -> Scorer:
        step = max(1, AT_ONCE // max(1, len(truth)))
        parts = [function(scores[:, k : k + step], truth[:, k : k + step]) for k in range(0, truth.shape[1], step)]

        def score(weights: NDArray[Any]) -> Floats:
            rows = by_row(weights)
            return torch.cat([values(rows) for values in parts]).nanmean(0).numpy()

        return score

    return prepare


class _Midranks:
    """Weights ``[N, R]`` -> weighted mid-ranks ``[N, R]``: the weight below plus half of that at the same value."""

    def __init__(self, values: Floats) -> None:
        levels, self._codes = np.unique(values, return_inverse=True)
        self._groups = Groups.of(self._codes, len(levels))

    def __call__(self, weights: Tensor) -> Tensor:
        at = self._groups.sums(weights)
        return (running(at).double() - at / 2)[self._codes]


def _spearman(predictions: Floats, truth: Floats) -> Scorer:
    if not len(truth):
        return lambda weights: np.full(len(weights), np.nan)
    first, second = _Midranks(predictions), _Midranks(truth)

    def score(weights: NDArray[Any]) -> Floats:
        rows = by_row(weights)
        total = rows.double().sum(0)
        x, y = (ranks - (rows * ranks).sum(0) / total for ranks in (first(rows), second(rows)))
        spread = ((rows * x * x).sum(0) * (rows * y * y).sum(0)).sqrt()
        return quotient((rows * x * y).sum(0), spread).numpy()

    return score


AUC = Metric("auc", "AUC", True, "points", 100.0, _one(_auc))
MACRO_AUC = Metric("auc", "macro AUC", True, "points", 100.0, _mean(_auc))
AVERAGE_PRECISION = Metric("average_precision", "average precision", True, "points", 100.0, _one(_average_precision))
MEAN_AVERAGE_PRECISION = Metric(
    "average_precision", "mean average precision", True, "points", 100.0, _mean(_average_precision)
)
SPEARMAN = Metric("spearman", "Spearman correlation", True, "points", 100.0, _spearman)
