"""Order statistics of numbers that can only be worked out block by block, exactly and without keeping them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from accord.merging.block import Block
from accord.merging.survey import Part, Survey

# Numbers from 0 on are ordered as their bits are; two passes of 16 bits tell every float32 apart.
HALF = 16
BINS = 1 << HALF


class Quantiles(Survey):
    """Numbers of given ranks, by a histogram of the upper half of their bits and then of the lower half.

    Unlike :class:`accord.merging.selection.Thresholds` it takes no sample, whose elements have lost their place in the
    tensor. Cost: two passes.

    Args:
        ranks: the ranks wanted, 0 being the smallest.
        numbers: returns those of a block ``[length]``, float32 and not negative; NaN counts as 0.

    ``found`` is the list of the numbers with these ranks.
    """

    def __init__(self, ranks: Sequence[int], numbers: Callable[[Block], Tensor]) -> None:
        self.ranks = list(ranks)
        self.numbers = numbers
        self.uppers: list[int] = []
        self.bytes = 8 * BINS * (1 + len(self.ranks)) * 2

    def part(self) -> Part:
        return _Histogram(self.numbers, sorted(set(self.uppers)))

    def take(self, parts: Sequence[Part]) -> None:
        counts: Any = sum(part.counts for part in parts if isinstance(part, _Histogram))
        if not self.uppers:
            below = np.cumsum(counts[0])
            self.uppers = [int(np.searchsorted(below, rank, side="right")) for rank in self.ranks]
            self.within = [
                rank - int(below[upper - 1] if upper else 0)
                for rank, upper in zip(self.ranks, self.uppers, strict=True)
            ]
            return
        order = sorted(set(self.uppers))
        pairs = zip(self.within, self.uppers, strict=True)
        lowers = [int(np.searchsorted(np.cumsum(counts[order.index(upper)]), rank, "right")) for rank, upper in pairs]
        bits = np.array(self.uppers, np.uint32) << HALF | np.array(lowers, np.uint32)
        self.found = bits.view(np.float32).tolist()
        self.finished = True


class _Histogram(Part):
    def __init__(self, numbers: Callable[[Block], Tensor], uppers: Sequence[int]) -> None:
        self.numbers = numbers
        self.uppers = uppers
        self.counts: npt.NDArray[np.int64] = np.zeros((max(1, len(uppers)), BINS), np.int64)

    def look(self, block: Block) -> None:
        bits = self.numbers(block).nan_to_num(0.0, math.inf).float().numpy().view(np.uint32)
        upper = (bits >> HALF).astype(np.intp)
        if not self.uppers:
            self.counts[0] += np.bincount(upper, minlength=BINS)
        for row, wanted in enumerate(self.uppers):
            self.counts[row] += np.bincount((bits[upper == wanted] & (BINS - 1)).astype(np.intp), minlength=BINS)
