"""How well scores order the rows: AUC, average precision, rank correlation."""

from __future__ import annotations

import numpy as np

from accord.tasks.metrics.metric import Floats, Metric, Scorer, ratio, running_sums


def _auc(scores: Floats, truth: Floats) -> Scorer:
    # P(score of a positive > score of a negative) + half of P(equal) (Hanley & McNeil, 1982). The smaller class makes a
    # short table of what lies below each of its scores, and below half of them at it; the other one looks up in it.
    rare = truth > 0.5
    swapped = 2 * int(rare.sum()) > len(rare)
    rare = ~rare if swapped else rare
    few = np.flatnonzero(rare)
    few = few[np.argsort(scores[few], kind="stable")]
    ends = np.flatnonzero(np.append(np.diff(scores[few]) != 0, True)[: len(few)])
    levels = scores[few][ends]
    below = np.searchsorted(levels, scores)
    place = 2 * below + (np.append(levels, np.nan)[below] == scores)
    place[rare] = 2 * len(levels) + 1
    others = (~rare).astype(np.float64)

    def score(weights: Floats) -> Floats:
        table = np.zeros((len(weights), 2 * len(levels) + 2))
        table[:, 2:-1:2] = running_sums(weights.take(few, axis=1)).take(ends, axis=1)
        table[:, 1:-2:2] = (table[:, :-3:2] + table[:, 2:-1:2]) / 2
        share = ratio(np.einsum("rn,rn->r", weights, table.take(place, axis=1)), table[:, -2] * (weights @ others))
        return share if swapped else 1.0 - share

    return score


def _average_precision(scores: Floats, truth: Floats) -> Scorer:
    # Sum over thresholds of recall gained times precision there; rows with one score enter together. Only thresholds
    # that a positive has count, so only these are looked up.
    order = np.argsort(-scores, kind="stable")
    new = np.append(True, np.diff(scores[order]) != 0)[: len(order)]
    last, group = np.append(np.flatnonzero(new)[1:], len(order)) - 1, np.cumsum(new) - 1
    hit = np.flatnonzero(truth[order] > 0.5)
    positive, groups = order[hit], group[hit]
    ends = np.flatnonzero(np.append(np.diff(groups) != 0, True)[: len(groups)])
    upto = last[groups[ends]]

    def score(weights: Floats) -> Floats:
        hits = running_sums(weights.take(positive, axis=1)).take(ends, axis=1)
        drawn = running_sums(weights.take(order, axis=1)).take(upto, axis=1)
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
        upto = running_sums(weights.take(order, axis=1))[:, last]
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
