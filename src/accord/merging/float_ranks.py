"""The smallest magnitude that a density keeps, of numbers that are worked out matrix by matrix and never held."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
from torch import Tensor

from accord.merging.block import Block
from accord.merging.selection import top
from accord.merging.survey import Part, Survey

Magnitudes = Callable[[Block], Iterable[Tensor]]
Bits = npt.NDArray[np.int32]

LOW = 19  # bits of a float32 that the second pass tells apart; the first one does those above them
HIGH = 31 - LOW


class FloatRanks(Survey):
    """Thresholds of several vectors over the whole model, however many numbers these turn out to have.

    :class:`~accord.merging.selection.Thresholds` draws a sample first, for which numbers must lie in the checkpoints
    and not come of whole matrices. Here two passes count by the bits of float32, whose order is that of the numbers.

    Args:
        vectors: how many there are.
        density: the share that is kept, see :func:`~accord.merging.selection.top`.
        magnitudes: returns those of a block for each vector in turn, none for a block that does not take part.

    ``found`` is one number for each vector: what it keeps is at least as large, in float32.
    """

    def __init__(self, vectors: int, density: float, magnitudes: Magnitudes) -> None:
        self.density = density
        self.magnitudes = magnitudes
        self.heads: list[int] | None = None
        self.bytes = 2 * vectors * 8 << LOW
        self.found = [0.0] * vectors
        self._counts = np.zeros((vectors, 1 << HIGH), dtype=np.int64)
        self._ranks = [0] * vectors
        self._lock = threading.Lock()

    def part(self) -> Part:
        return _Counted(self)

    def take(self, parts: Sequence[Part]) -> None:
        if self.heads is None:
            self._ranks = [top(self.density, int(counts.sum())) for counts in self._counts]
            self.heads = [self._place(vector) for vector in range(len(self.found))]
            self._counts = np.zeros((len(self.found), 1 << LOW), dtype=np.int64)
            return
        bits = [(head << LOW) + self._place(vector) for vector, head in enumerate(self.heads)]
        self.found = np.array(bits, dtype=np.int32).view(np.float32).tolist()
        self.finished = True

    def count(self, vector: int, numbers: Bits) -> None:
        """Count numbers of a vector by their bits; whole numbers add up to the same in whatever order."""
        heads = numbers >> LOW
        seen = heads if self.heads is None else numbers[heads == self.heads[vector]] & ((1 << LOW) - 1)
        counts = np.bincount(seen, minlength=self._counts.shape[1])
        with self._lock:
            self._counts[vector] += counts

    def _place(self, vector: int) -> int:
        """Return where the number of the rank lies, and keep its rank among those that lie there; 0 without any."""
        rank = self._ranks[vector]
        if not rank:
            return 0
        beyond = np.cumsum(self._counts[vector, ::-1])
        steps = int(np.searchsorted(beyond, rank))
        self._ranks[vector] = rank - (int(beyond[steps - 1]) if steps else 0)
        return self._counts.shape[1] - 1 - steps


class _Counted(Part):
    def __init__(self, survey: FloatRanks) -> None:
        self.survey = survey

    def look(self, block: Block) -> None:
        for vector, sizes in enumerate(self.survey.magnitudes(block)):
            self.survey.count(vector, sizes.float().reshape(-1).numpy().view(np.int32))
