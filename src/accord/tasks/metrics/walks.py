"""Rows in the order of scores, cut where some of them stand: what metrics of rankings sum over."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accord.tasks.metrics.sums import Groups, Places


class Walks:
    """Walks up K columns of scores, laid end to end, so that dozens of columns take a few long operations.

    Args:
        scores: ``[N, K]``.
        chosen: ``[N, K]``, the rows of each column at whose L distinct scores, in all columns, the walk halts.
        others: ``[N, K]``, the rows that are counted on the way.

    Attributes:
        chosen: the chosen rows of each halt, ``L`` groups.
        column: ``[L]``, the column of each halt.
        between: the others, cut at halts and where columns end, in ``G`` groups, the first one empty.
        tied: whether any of the others has the score of a halt.
        below: ``[L]``, the last group of the others before each halt.
        upto: ``[L]``, the last group of those before or at it.
        start: ``[K]``, the last group before each column.
    """

    def __init__(self, scores: NDArray[np.float64], chosen: NDArray[np.bool_], others: NDArray[np.bool_]) -> None:
        rows, self._columns = scores.shape
        order = np.argsort(np.ascontiguousarray(scores.T), axis=1)  # equal scores are one halt: it need not be stable
        row, column = order.ravel(), np.repeat(np.arange(self._columns), rows)
        place = row + rows * column
        laid, own, rest = scores.T.ravel()[place], chosen.T.ravel()[place], others.T.ravel()[place]
        new = np.append(True, (np.diff(laid) != 0) | (np.diff(column) != 0))[: len(laid)]
        level = np.cumsum(new) - 1
        at, met = (np.bincount(level[part], minlength=int(new.sum())) for part in (own, rest))
        halts = at > 0
        self.chosen = Groups(row[own], (at.cumsum() - at)[halts])
        self.column = torch.from_numpy(column[new][halts])
        self.tied = bool(met[halts].any())
        upto, ends = met.cumsum()[halts], np.bincount(column[rest], minlength=self._columns).cumsum()
        self._cut(row[rest], upto - met[halts], upto, ends)

    def _cut(self, others: Places, below: Places, upto: Places, ends: Places) -> None:
        cuts = np.concatenate([ends, upto, below] if self.tied else [ends, upto])
        order = np.argsort(cuts, kind="stable")
        starts = np.append([0, 0], cuts[order][:-1])
        self.between = Groups(others, starts)
        last = np.minimum(np.searchsorted(ends, starts, side="right"), self._columns - 1)
        self._column_between = torch.from_numpy(last)
        group = np.empty(len(cuts), np.int64)
        group[order] = np.arange(1, len(cuts) + 1)
        parts = torch.from_numpy(group).split([self._columns, *[len(upto)] * (2 if self.tied else 1)])
        self.start = torch.cat([torch.zeros(1, dtype=torch.int64), parts[0][:-1]])
        self.upto, self.below = parts[1], parts[-1]

    def by_column(self, values: Tensor) -> Tensor:
        """Return the sums ``[K, R]`` of ``values`` ``[L, R]`` of the halts, float64."""
        return _gathered(values, self.column, self._columns)

    def between_by_column(self, values: Tensor) -> Tensor:
        """Return the sums ``[K, R]`` of ``values`` ``[G, R]`` of the others' groups, float64."""
        return _gathered(values, self._column_between, self._columns)


def _gathered(values: Tensor, column: Tensor, columns: int) -> Tensor:
    return values.new_zeros(columns, values.shape[1]).index_add_(0, column, values).double()
