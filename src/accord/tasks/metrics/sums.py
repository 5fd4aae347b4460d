"""Sums of row weights over groups of rows, for thousands of reweightings at once.

Inside, the reweightings lie side by side, ``[N, R]``: a row's weights are one stretch of memory, and a sum over any
rows in any order is a sum of such stretches. Weights that come as float32 are summed as float32: whole numbers, such as
how often a row is drawn, stay exact in it up to 2^24.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Places = NDArray[np.int64]
# Bytes that a core's second cache holds beside others, and rows whose running sums are taken side by side.
CACHE, BLOCK = 1 << 18, 32


@dataclass(frozen=True)
class Groups:
    """Groups of rows.

    Attributes:
        order: ``[n]`` row numbers, group by group; a row may be in several groups or in none.
        starts: ``[G]``, where in ``order`` each group starts; it ends with the next one, the last with ``order``.
    """

    order: Places
    starts: Places

    @classmethod
    def of(cls, codes: Places, groups: int) -> Self:
        """Return the rows of each of ``codes`` ``[N]``, numbers from 0 to ``groups - 1``."""
        counts = np.bincount(codes, minlength=groups)
        return cls(np.argsort(codes, kind="stable"), counts.cumsum() - counts)

    def sums(self, weights: Tensor) -> Tensor:
        """Return sums ``[G, R]`` of weights ``[N, R]``, in their type; 0 for a group without rows."""
        if not len(self.order):
            return weights.new_zeros(len(self.starts), weights.shape[1])
        if weights.dtype == torch.float32:
            order, starts = torch.from_numpy(self.order), torch.from_numpy(self.starts)
            return functional.embedding_bag(order, weights, starts, mode="sum")
        # Three times as fast as PyTorch's in float64, which only weights of rows need; the import costs half a second.
        from scipy.sparse import csr_array

        ends, shape = np.append(self.starts, len(self.order)), (len(self.starts), len(weights))
        return torch.from_numpy(csr_array((np.ones(len(self.order)), self.order, ends), shape=shape) @ weights.numpy())


def by_row(weights: NDArray[Any]) -> Tensor:
    """Return weights ``[R, N]`` as ``[N, R]``; without a copy where they lie in memory like that."""
    # Viewed anew, so that a single reweighting has its own stride, without which PyTorch takes a slow way.
    return torch.from_numpy(np.require(weights.T, requirements=("C", "W"))).view(-1).view(weights.shape[::-1])


def running(sums: Tensor) -> Tensor:
    """Return the running sums of ``[G, R]`` over groups, up to and with each.

    PyTorch and NumPy go down one column after the other, which is slow where the columns together do not fit a core's
    cache; adding up rows takes a third of that.
    """
    if sums.nbytes < CACHE:
        return sums.cumsum(0)
    groups, draws = sums.shape
    blocks = sums.new_zeros(-(-groups // BLOCK), BLOCK, draws)
    rows = blocks.view(-1, draws)
    rows[:groups] = sums
    for before, line in pairwise(blocks.unbind(1)):
        line += before
    blocks[1:] += blocks[:-1, -1].cumsum(0)[:, None]
    return rows[:groups]


def quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    """Return ``numerator / denominator`` with NaN where the denominator is 0."""
    return torch.where(denominator != 0, numerator / denominator, torch.nan)
