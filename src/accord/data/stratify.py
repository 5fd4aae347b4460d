"""Iterative stratification: parts that agree with the whole in every label of every target at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Numeric targets are stratified by these many quantile groups.
GROUPS = 10


def label_codes(targets: Sequence[np.ndarray]) -> np.ndarray:
    """Return ``[N, M]`` int64 codes from 0 of every target column, missing values being a code of their own.

    Args:
        targets: codes ``[N]`` (integers, negative for missing), or numbers ``[N]`` or ``[N, K]`` (NaN for missing),
            of which those with more than ten different values are cut into ten groups of equal size.
    """
    columns = [column for target in targets for column in np.atleast_2d(np.asarray(target).T)]
    return np.stack([_codes(column) for column in columns], axis=1)


def stratified(labels: np.ndarray, shares: Sequence[float], rng: np.random.Generator) -> np.ndarray:
    """Return the part ``[N]`` (0..P-1) of every row, so that each label has its share of rows in each part.

    Rows with the same combination of labels are first dealt out in whole shares, which is exact for all labels at
    once; only the rows left over, fewer than P per combination, go through the iterative stratification of
    Sechidis, Tsoumakas and Vlahavas (ECML PKDD 2011): the rarest label first, each of its rows to the part that
    lacks most of that label, then to the part that lacks most rows, then by lot.

    Args:
        labels: ``[N, M]`` codes from 0; a row has one code in each column.
        shares: of each part, summing to 1.
        rng: generator.

    Cost: O(N log N) for the first step; O(R (P + M)) for R rows left over.
    """
    parts = np.full(len(labels), -1, dtype=np.int8)
    order = rng.permutation(len(labels))
    cells = _combinations(labels)[order]
    by_cell = np.argsort(cells, kind="stable")
    sizes = np.bincount(cells)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    whole = np.cumsum([np.floor(sizes * share + 1e-9).astype(np.int64) for share in shares], axis=0)
    for part in reversed(range(len(shares))):
        parts[order[by_cell[rank < np.repeat(whole[part], sizes)]]] = part
    _deal(labels, parts, np.asarray(shares, dtype=float), rng)
    return parts


def _deal(labels: np.ndarray, parts: np.ndarray, shares: np.ndarray, rng: np.random.Generator) -> None:
    offsets = np.concatenate([[0], np.cumsum(labels.max(axis=0) + 1)])
    flat = labels + offsets[:-1]
    left = rng.permutation(np.flatnonzero(parts < 0))
    counts = np.bincount(flat.ravel(), minlength=int(offsets[-1])).astype(float)
    # What each part still lacks of each label, and of rows.
    lack = shares[:, None] * counts
    for part in range(len(shares)):
        lack[part] -= np.bincount(flat[parts == part].ravel(), minlength=len(counts))
    room = shares * len(labels) - np.bincount(parts[parts >= 0], minlength=len(shares))
    waiting = np.bincount(flat[left].ravel(), minlength=len(counts))
    while len(left):
        rarest = int(np.argmin(np.where(waiting > 0, waiting, np.iinfo(np.int64).max)))
        has = (flat[left] == rarest).any(axis=1)
        for row in left[has]:
            part = _neediest(lack[:, rarest], room, rng)
            parts[row] = part
            lack[part, flat[row]] -= 1
            room[part] -= 1
            waiting[flat[row]] -= 1
        left = left[~has]


def _neediest(lack: np.ndarray, room: np.ndarray, rng: np.random.Generator) -> int:
    best = np.flatnonzero(lack >= lack.max() - 1e-9)
    best = best[room[best] >= room[best].max() - 1e-9]
    return int(best[0] if len(best) == 1 else rng.choice(best))


def _combinations(labels: np.ndarray) -> np.ndarray:
    key = np.zeros(len(labels), dtype=np.int64)
    for column in labels.T:
        # Renumbering after every column keeps the key below N times the number of codes.
        key = np.unique(key * (int(column.max()) + 1) + column, return_inverse=True)[1]
    return key


def _codes(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind in "iu":
        return column.astype(np.int64) - min(int(column.min()), 0) if len(column) else column.astype(np.int64)
    values = column.astype(float)
    known = ~np.isnan(values)
    unique, inverse = np.unique(values[known], return_inverse=True)
    if len(unique) > GROUPS:
        cuts = np.unique(np.quantile(values[known], np.linspace(0, 1, GROUPS + 1)[1:-1]))
        inverse = np.searchsorted(cuts, values[known], side="right")
    result = np.zeros(len(values), dtype=np.int64)
    result[known] = 1 + inverse
    return result
