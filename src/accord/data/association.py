"""How well one binned column predicts another, judged on rows that the prediction was not made from."""

from __future__ import annotations

import numpy as np

# Weight of the overall mean in the estimate of each bin, in rows.
PRIOR_ROWS = 2.0


def class_tables(
    codes: np.ndarray, labels: np.ndarray, classes: int, folds: np.ndarray, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(positives [F, C, K], totals [F, C])``: rows of each class, and of any, by fold and bin.

    Args:
        codes: ``[n]`` bins from 0.
        labels: ``[n]`` classes 0..K-1; K stands for any other.
        classes: K.
        folds: ``[n]`` fold of each row.
        count: number of folds F.
    """
    size = int(codes.max()) + 1 if len(codes) else 1
    cell = (folds * size + codes) * (classes + 1) + labels
    table = np.bincount(cell, minlength=count * size * (classes + 1)).reshape(count, size, classes + 1)
    return table[..., :classes], table.sum(axis=-1)


def auc(positives: np.ndarray, totals: np.ndarray, level: float) -> tuple[float, float, float]:
    """Return ``(AUC, precision, recall)`` of predicting a class by its rate in the same bin of the other folds.

    Precision and recall are those of calling every row positive whose predicted rate is at least ``level - 0.02``
    (0 when no row is).

    Args:
        positives: ``[F, C]`` rows of the class by fold and bin.
        totals: ``[F, C]`` all rows.
        level: precision that is asked about.
    """
    base = positives.sum() / max(totals.sum(), 1)
    others = totals.sum(axis=0) - totals
    rate = (positives.sum(axis=0) - positives + PRIOR_ROWS * base) / (others + PRIOR_ROWS)
    hits, rows = positives.ravel().astype(float), totals.ravel().astype(float)
    area = _area(rate.ravel(), hits, rows - hits)
    sure = rate.ravel() >= level - 0.02
    called, right = rows[sure].sum(), hits[sure].sum()
    return area, float(right / called) if called else 0.0, float(right / hits.sum()) if hits.sum() else 0.0


def explained(codes: np.ndarray, values: np.ndarray, folds: np.ndarray, count: int) -> float:
    """Return R2 of predicting ``values [n]`` (NaN is left out) by the mean of the same bin in the other folds."""
    known = ~np.isnan(values)
    codes, values, folds = codes[known], values[known], folds[known]
    if len(values) < 2 or values.std() == 0:
        return 0.0
    size = int(codes.max()) + 1
    cell = folds * size + codes
    rows = np.bincount(cell, minlength=count * size).reshape(count, size)
    sums = np.bincount(cell, values, minlength=count * size).reshape(count, size)
    mean = (sums.sum(axis=0) - sums + PRIOR_ROWS * values.mean()) / (rows.sum(axis=0) - rows + PRIOR_ROWS)
    residual = values - mean.ravel()[cell]
    return float(1.0 - np.square(residual).sum() / np.square(values - values.mean()).sum())


def _area(score: np.ndarray, positive: np.ndarray, negative: np.ndarray) -> float:
    # Ties count half; cells with one score are one step of the curve.
    _, step = np.unique(score, return_inverse=True)
    up = np.bincount(step, positive)
    down = np.bincount(step, negative)
    if not up.sum() or not down.sum():
        return 0.5
    below = np.cumsum(down) - down
    return float((up * (below + down / 2)).sum() / (up.sum() * down.sum()))
