"""Leakage: features that alone nearly determine a target, which in real data nearly always is a mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from accord.data.association import auc, class_tables, explained
from accord.data.numeric import bin_edges
from accord.data.schema import Column, Schema
from accord.data.table import Table, sample_rows
from accord.errors import DataError

# On Census-Income the strongest honest column, age for never having married, reaches 0.945; the two columns that are
# defined by the marital status (who files taxes jointly, whose child one is) reach 0.978.
AUC_THRESHOLD = 0.97
# Share of the variance of the target's ranks.
R2_THRESHOLD = 0.90
# A code that is nearly always followed by a rare class, and that half of this class has.
PRECISION_THRESHOLD = 0.98
RECALL_THRESHOLD = 0.5
RARE = 0.25

SAMPLE_ROWS = 40_000
BINS = 64
FOLDS = 5
# Fewer rows of a class than this say nothing about it.
SUPPORT = 30
_NUMERIC_CLASSES = 20


@dataclass(frozen=True, slots=True)
class Leak:
    """A feature that tells too much about a target.

    Attributes:
        feature: the column.
        target: the target it gives away.
        measure: ``"AUC"``, ``"R2"`` or ``"precision"``.
        score: its value on rows that the estimate was not made from, 0 to 1.
        sentence: all of it in words, with the way out.
    """

    feature: str
    target: str
    measure: str
    score: float
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def find_leakage(
    table: Table,
    schema: Schema,
    targets: Sequence[str],
    rows: np.ndarray | Sequence[int] | None = None,
    *,
    sample: int = SAMPLE_ROWS,
    seed: int = 0,
) -> list[Leak]:
    """Return the features that alone nearly determine a target, worst first.

    Each feature is cut into at most 64 bins (numbers, dates) or taken as it is (categories), missing being a bin too,
    and each bin predicts the mean of the target over its rows in the other four of five folds. A column of nearly
    unique values therefore scores like chance, since its bins have no rows elsewhere. A feature is named when

    - it tells one class of a target from the rest with AUC >= 0.97,
    - or explains >= 90 % of the variance of a numeric target's ranks (ranks, so that a logarithm hides nothing),
    - or some of its values mean a rare class (at most a quarter of the rows) in >= 98 % of cases and cover at least
      half of that class: a code that is only filled in afterwards.

    Args:
        table: the table.
        schema: its schema; features of the kinds numeric, categorical, boolean and date are looked at.
        targets: columns to predict.
        rows: training rows (all when ``None``).
        sample: at most so many of them are read.
        seed: of the sample and the folds.
    """
    table.require(list(targets))
    chosen = np.arange(table.num_rows) if rows is None else np.asarray(rows, dtype=np.int64)
    picked = chosen[sample_rows(len(chosen), sample, seed)]
    features = [column for column in schema.features if column.kind != "text" and column.name not in targets]
    some = table.take(np.sort(picked), [*(column.name for column in features), *targets])
    folds = np.random.default_rng(seed).integers(0, FOLDS, some.num_rows)
    bins = {column.name: _bins(some, column) for column in features}
    leaks = [leak for name in targets for leak in _of_target(some, schema[name], bins, folds)]
    return sorted(leaks, key=lambda leak: -leak.score)


def _of_target(table: Table, target: Column, bins: Mapping[str, np.ndarray], folds: np.ndarray) -> list[Leak]:
    found = []
    if target.kind in ("numeric", "date") and target.distinct > _NUMERIC_CLASSES:
        values = _ranks(table.numbers([target.name])[:, 0])
        for feature, codes in bins.items():
            score = explained(codes, values, folds, FOLDS)
            if score >= R2_THRESHOLD:
                found.append(_leak(feature, target.name, "R2", score, f"{score:.1%} of {target.name}"))
        return found
    labels, classes = table.codes(target.name)
    sizes = np.bincount(labels[labels >= 0], minlength=len(classes))
    enough = [i for i in np.argsort(-sizes)[:_NUMERIC_CLASSES].tolist() if sizes[i] >= SUPPORT]
    if len(enough) < 2:
        return []
    for feature, codes in bins.items():
        worst = _worst(codes, labels, enough, folds)
        if worst is not None:
            measure, score, place = worst
            what = f"{target.name} = {classes[enough[place]]!r}"
            found.append(_leak(feature, target.name, measure, score, what))
    return found


def _worst(
    codes: np.ndarray, labels: np.ndarray, enough: list[int], folds: np.ndarray
) -> tuple[str, float, int] | None:
    known = labels >= 0
    place = np.full(int(labels.max()) + 1, len(enough))
    place[enough] = np.arange(len(enough))
    positives, totals = class_tables(codes[known], place[labels[known]], len(enough), folds[known], FOLDS)
    rates = positives.sum(axis=(0, 1)) / totals.sum()
    best: tuple[str, float, int] | None = None
    for k, rate in enumerate(rates.tolist()):
        area, precision, recall = auc(positives[..., k], totals, PRECISION_THRESHOLD)
        if area >= AUC_THRESHOLD:
            found = ("AUC", area, k)
        elif rate <= RARE and precision >= PRECISION_THRESHOLD and recall >= RECALL_THRESHOLD:
            found = ("precision", precision, k)
        else:
            continue
        best = found if best is None or found[1] > best[1] else best
    return best


def _bins(table: Table, column: Column) -> np.ndarray:
    if column.kind in ("categorical", "boolean") or column.format:
        codes, labels = table.codes(column.name)
        return _without_rare(codes.astype(np.int64) + 1, len(labels) + 1)
    try:
        values = table.numbers([column.name])[:, 0]
    except DataError:
        return np.zeros(table.num_rows, dtype=np.int64)
    known = np.isfinite(values)
    codes = np.zeros(len(values), dtype=np.int64)
    if known.any():
        edges = np.array(bin_edges(values[known], BINS))
        codes[known] = 1 + np.searchsorted(edges, values[known], side="right")
    return codes


def _without_rare(codes: np.ndarray, size: int) -> np.ndarray:
    # Values with a single row predict nothing in other folds; together they keep the tables small.
    counts = np.bincount(codes, minlength=size)
    kept = np.flatnonzero(counts > 1)
    place = np.full(size, len(kept))
    place[kept] = np.arange(len(kept))
    return place[codes]


def _ranks(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    result = np.full(len(values), np.nan)
    if known.any():
        _, inverse, counts = np.unique(values[known], return_inverse=True, return_counts=True)
        middle = np.cumsum(counts) - (counts - 1) / 2
        result[known] = middle[inverse] / known.sum()
    return result


def _leak(feature: str, target: str, measure: str, score: float, what: str) -> Leak:
    told = {
        "AUC": f"tells {what} from the rest with AUC {score:.3f}",
        "R2": f"explains {what}",
        "precision": f"has values that mean {what} in {score:.1%} of cases",
    }[measure]
    sentence = (
        f"{feature!r} alone {told}. Is it known before {target}? If not, drop it: --column {feature}=drop, or "
        f"columns={{{feature!r}: 'drop'}} in Python."
    )
    return Leak(feature, target, measure, round(score, 4), sentence)
