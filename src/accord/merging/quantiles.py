"""Order statistics of numbers that can only be worked out block by block, exactly and without keeping them."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from accord.merging.block import Block
from accord.merging.survey import Part, Survey

# Numbers from 0 on are ordered as their bits are; two passes of 16 bits tell every float32 apart.
HALF = 16
BINS = 1 << HALF

Counts = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint32]


class Quantiles(Survey):
    """Numbers of given ranks, by a histogram of the upper half of their bits and then of the lower half.

    Unlike :class:`accord.merging.selection.Thresholds` it takes no sample, whose elements have lost their place in the
    tensor, and need not know beforehand how many numbers there will be. Cost: two passes.

    Args:
        ranks: returns the ranks wanted of so many numbers, 0 being the smallest, as many for any number above 0.
        numbers: returns those of a block for each vector in turn, not negative, told apart as float32; NaN counts as 0.
            None at all for a block that does not take part.
        vectors: how many there are.

    ``found`` is ``[vectors][ranks]``; 0 where there are no numbers.
    """

    def __init__(
        self,
        ranks: Callable[[int], Sequence[int]],
        numbers: Callable[[Block], Iterable[Tensor]],
        vectors: int = 1,
    ) -> None:
        self.ranks = ranks
        self.numbers = numbers
        self.uppers: list[list[int]] | None = None
        self.counts: list[Counts] = [np.zeros((1, BINS), np.int64) for _ in range(vectors)]
        self._none = [0.0] * len(ranks(1))
        self.bytes = 8 * BINS * (1 + len(self._none)) * 2 * vectors
        self._within: list[list[int]] = []
        self._lock = threading.Lock()

    def part(self) -> Part:
        return _Counted(self)

    def take(self, parts: Sequence[Part]) -> None:
        if self.uppers is None:
            self._begin([counts[0] for counts in self.counts])
            return
        self.found = [
            [_number(*each) for each in zip(*vector, strict=True)] or self._none
            for vector in zip(self.uppers, self.counts, self._within, strict=True)
        ]
        self.finished = True

    def _begin(self, counts: Sequence[Counts]) -> None:
        self.uppers = []
        for each in counts:
            below = np.cumsum(each)
            ranks = self.ranks(int(below[-1])) if below[-1] else []
            uppers = [int(np.searchsorted(below, rank, side="right")) for rank in ranks]
            pairs = zip(ranks, uppers, strict=True)
            self._within.append([rank - int(below[upper - 1] if upper else 0) for rank, upper in pairs])
            self.uppers.append(uppers)
        self.counts = [np.zeros((len(uppers), BINS), np.int64) for uppers in self.uppers]

    def count(self, vector: int, bits: Bits) -> None:
        """Count numbers of a vector by their bits; whole numbers add up to the same in whatever order."""
        upper = bits >> HALF
        wanted = [None] if self.uppers is None else self.uppers[vector]
        seen = [upper if one is None else bits[upper == one] & (BINS - 1) for one in wanted]
        counts = [np.bincount(each.astype(np.intp), minlength=BINS) for each in seen]
        with self._lock:
            for row, each in zip(self.counts[vector], counts, strict=True):
                row += each


def _number(upper: int, counts: Counts, rank: int) -> float:
    lower = int(np.searchsorted(np.cumsum(counts), rank, side="right"))
    return float(np.array([upper << HALF | lower], np.uint32).view(np.float32)[0])


class _Counted(Part):
    def __init__(self, survey: Quantiles) -> None:
        self.survey = survey

    def look(self, block: Block) -> None:
        for vector, numbers in enumerate(self.survey.numbers(block)):
            clean = numbers.reshape(-1).nan_to_num(0.0, math.inf).float()
            self.survey.count(vector, clean.numpy().view(np.uint32))
