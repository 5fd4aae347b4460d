"""The k-th largest of very many numbers, exactly, in two passes and without sorting or keeping them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from accord.merging.at_once import LooksAtOnce
from accord.merging.block import Block
from accord.merging.compiled import kernels
from accord.merging.survey import Part, Survey

Numbers = npt.NDArray[np.floating]
Magnitudes = Callable[[Block], Iterable[Tensor]]

SAMPLE = (1 << 17, 1 << 21)  # numbers a sample has at least and at most; it has one in 256 in between
MANY = 1 / 50  # a share of numbers in a bracket that is more than its width explains: some are equal
ROUNDED = 1 + Fraction(1, 1 << 50)
MARGIN = 5.0  # standard errors that a bracket around the sample's quantile spans on each side at first


def top(density: float, elements: int) -> int:
    """Return how many of ``elements`` a density keeps: rounded down, but never none.

    The density counts as the decimal number it prints as: 0.29 of 100 is 29, though the nearest float is below 0.29.
    One between those of a gradient is a rounding off: a third of 384 is 128, though no float is a third.
    """
    return max(1, math.floor(Fraction(repr(float(density))) * elements * ROUNDED)) if elements else 0


class Thresholds(Survey):
    """The ``rank``-th largest magnitude of several vectors, each for several ranks.

    A sample brackets the threshold; a pass counts what lies above the bracket and keeps what lies within, some 0.5 % of
    the numbers; and the answer is exact. Where the sample misled, the bracket is widened and the pass repeated.

    Args:
        vectors: how many there are.
        elements: how many numbers each has.
        ranks: the ranks wanted, 1 being the largest. One that keeps all numbers has the threshold 0.
        magnitudes: returns those of a block, ``[length]`` for each vector in turn, NaN counting as smallest; those of
            the task vectors when left out.

    ``found`` is ``[vectors][ranks]``.
    """

    def __init__(self, vectors: int, elements: int, ranks: Sequence[int], magnitudes: Magnitudes | None = None) -> None:
        self.magnitudes = magnitudes
        self.searches = [[_Search(rank, elements) for rank in ranks] for _ in range(vectors)]
        sample = min(max(elements // 256, SAMPLE[0]), SAMPLE[1])
        self.stride = max(1, elements // sample)
        # Twice each, for what is held in pieces is put together once.
        within = min(1.0, 2 * MARGIN * (0.25 / sample) ** 0.5)
        self.bytes = vectors * len(ranks) * 2 * 8 * (2 * sample + int(within * elements))
        self.sampling = True
        self._end()

    def part(self) -> Part:
        return _Magnitudes(self.magnitudes, self.searches, self.sampling)

    def take(self, parts: Sequence[Part]) -> None:
        seen = [part for part in parts if isinstance(part, _Magnitudes)]
        for index, searches in enumerate(self.searches):
            if self.sampling:
                sample = np.sort(np.concatenate([chunk for part in seen for chunk in part.samples[index]] or [[]]))
                for search in searches:
                    search.begin(sample, whole=self.stride == 1)
            else:
                for place, search in enumerate(searches):
                    search.narrow([part.tallies[index][place] for part in seen])
        self.sampling, self.stride = False, 1
        self._end()

    def _end(self) -> None:
        self.finished = all(search.found is not None for searches in self.searches for search in searches)
        self.found = [[search.found for search in searches] for searches in self.searches]


@dataclass(slots=True)
class _Tally:
    """What one pass over one tensor counts for one search: what is above the bracket, within, or on its ends."""

    above: int = 0
    at_high: int = 0
    at_low: int = 0
    within: list[Numbers] = field(default_factory=list)

    def count(self, numbers: Numbers, low: float, high: float) -> None:
        above = numbers > high
        over = int(np.count_nonzero(above))
        self.above += over
        if low == high:
            self.at_high += int(np.count_nonzero(numbers == high))
            return
        inside = numbers >= low
        inside ^= above
        kept = _picked(numbers, inside)
        if len(kept) > MANY * len(numbers):
            # Numbers that occur often (0, or the few differences that two half-precision weights can have) sit on the
            # ends of the bracket: they are counted and not kept.
            at_high, at_low = kept == high, kept == low
            self.at_high += int(np.count_nonzero(at_high))
            self.at_low += int(np.count_nonzero(at_low))
            at_high |= at_low
            kept = kept[~at_high]
        if len(kept):
            self.within.append(kept)

    def add(self, found: tuple[int, int, int, Numbers], low: float, high: float) -> None:
        """Take what a compiled loop counted: above, at ``high``, at ``low``; and the numbers within."""
        above, at_high, at_low, kept = found
        self.above += above
        self.at_high += at_high
        self.at_low += at_low if low < high else 0
        if len(kept):
            self.within.append(kept)


def _picked(numbers: Numbers, where: npt.NDArray[np.bool_]) -> Numbers:
    """Return ``numbers[where]`` for a mask that is nearly empty, in a third of the time: groups of 8 come first."""
    whole = len(numbers) // 8 * 8
    groups = np.flatnonzero(where[:whole].view(np.uint64) != 0)
    near = where[:whole].reshape(-1, 8).take(groups, axis=0).reshape(-1)
    picked = numbers[:whole].reshape(-1, 8).take(groups, axis=0).reshape(-1).compress(near)
    return picked if whole == len(numbers) else np.concatenate([picked, numbers[whole:][where[whole:]]])


class _Search:
    """The search for one rank."""

    def __init__(self, rank: int, elements: int) -> None:
        self.rank = rank
        self.elements = elements
        self.found: float | None = 0.0 if rank >= elements else None
        self.low = self.high = 0.0
        self.sample: Numbers = np.empty(0)
        self.margin = MARGIN

    def begin(self, sample: Numbers, whole: bool) -> None:
        """Take a sorted sample, or all numbers."""
        if self.found is not None:
            return
        self.sample = sample[: len(sample) - np.count_nonzero(np.isnan(sample))]
        if not whole:
            self._bracket()
        else:
            self.found = float(self.sample[-self.rank]) if self.rank <= len(self.sample) else 0.0

    def narrow(self, tallies: Sequence[_Tally]) -> None:
        """Take the counts of a pass: find the number, or widen the bracket."""
        if self.found is not None:
            return
        kept = np.concatenate([chunk for tally in tallies for chunk in tally.within] or [np.empty(0)])
        beyond = self.rank - sum(tally.above for tally in tallies)
        below = beyond - sum(tally.at_high for tally in tallies)
        if below <= 0 < beyond:
            self.found = self.high
        elif 0 < below <= len(kept):
            self.found = float(np.partition(kept, len(kept) - below)[len(kept) - below])
        elif 0 < below <= len(kept) + sum(tally.at_low for tally in tallies):
            self.found = self.low
        elif self.margin > len(self.sample):
            self.found = 0.0  # all but the rank's numbers are NaN
        else:
            self.margin *= 8.0
            self._bracket()

    def _bracket(self) -> None:
        share = self.rank / self.elements
        width = self.margin * math.sqrt(share * (1.0 - share) / max(1, len(self.sample))) + self.margin / max(
            1, len(self.sample)
        )
        size = len(self.sample)
        low = math.floor((1.0 - share - width) * size)
        high = math.ceil((1.0 - share + width) * size)
        self.low = float(self.sample[low]) if low >= 0 and size else 0.0
        self.high = float(self.sample[high]) if high < size else math.inf


class _Magnitudes(Part, LooksAtOnce):
    def __init__(self, magnitudes: Magnitudes | None, searches: Sequence[Sequence[_Search]], sampling: bool) -> None:
        self.magnitudes = magnitudes
        self.searches = searches
        self.sampling = sampling
        self.samples: list[list[Numbers]] = [[] for _ in searches]
        self.tallies = [[_Tally() for _ in each] for each in searches]

    def at_once(self, stretch: Block) -> bool:
        loops, places = kernels(), [] if self.magnitudes or self.sampling else stretch.addresses()
        if loops is None or not places:
            return False
        base, *models = places
        within = stretch.buffer("within")
        for index, model in enumerate(models):
            for search, tally in self._open(index):
                tally.add(loops.tally_delta(model, base, search.low, search.high, within), search.low, search.high)
        return True

    def look(self, block: Block) -> None:
        wanted = [index for index in range(len(self.searches)) if self._open(index)]
        loops = kernels()
        for index, magnitudes in enumerate((self.magnitudes or _of_deltas)(block)):
            if index not in wanted:
                continue
            if self.sampling:
                self.samples[index].append(magnitudes.numpy().copy())
                continue
            for search, tally in self._open(index):
                if loops is not None and magnitudes.dtype == torch.float32 and magnitudes.is_contiguous():
                    found = loops.tally(magnitudes, search.low, search.high, block.buffer("within"))
                    tally.add(found, search.low, search.high)
                else:
                    tally.count(magnitudes.numpy(), search.low, search.high)

    def _open(self, index: int) -> Sequence[tuple[_Search, _Tally]]:
        pairs = zip(self.searches[index], self.tallies[index], strict=True)
        return [(search, tally) for search, tally in pairs if search.found is None]


def _of_deltas(block: Block) -> Sequence[Tensor]:
    deltas = block.deltas()
    deltas.whole.abs_()
    return deltas.rows
