"""What each model brought to a merge: how far it moved, where models pull against each other, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from accord.merging.block import BLOCK, STRETCH, Block, Buffers
from accord.merging.compiled import AT_ONCE, LANES, address, kernels
from accord.merging.entry import Entry
from accord.merging.finite import fits
from accord.merging.gramians import of_pairs, pairs
from accord.merging.lazy import LazyTensor
from accord.merging.progress import COMPARING, Progress, Tally, bytes_read

Array = npt.NDArray[np.float64]
# A quarter of what is merged at a time, since all of a block is held in float64 and several times over: a thread that
# looks then holds less than one that merges.
LENGTH = BLOCK // 4


@dataclass(frozen=True, eq=False)
class Contribution:
    """One tensor of a merge, or several together. Changes are measured from the base, else from the models' mean.

    Attributes:
        models: whose changes these are.
        elements: how many numbers.
        base: sum of squares of what changes are measured from.
        gramian: inner products of the changes ``[n, n]``.
        merged: sum of squares of the merged change.
        onto: inner products of the merged change with each ``[n]``.
        shared: places in which at least two models changed.
        opposed: those of them in which not all changes have one sign.
        size: sum of magnitudes of each change ``[n]``.
        cancelled: sum of magnitudes that a plain sum of the changes loses.
        against: of each change's magnitudes, those in places where the merged change has the other sign, or is 0
            ``[n]``.
    """

    models: tuple[str, ...]
    elements: int
    base: float
    gramian: Array
    merged: float
    onto: Array
    shared: int
    opposed: int
    size: Array
    cancelled: float
    against: Array

    @property
    def cosines(self) -> Array:
        """Cosines between changes ``[n, n]``, NaN for a model that did not change."""
        lengths = np.sqrt(np.diag(self.gramian))
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.gramian / np.outer(lengths, lengths)

    @property
    def moved(self) -> Array:
        """Length of each change divided by that of what it is measured from ``[n]``."""
        return np.sqrt(np.diag(self.gramian)) / np.sqrt(self.base) if self.base else np.full(len(self.models), np.nan)

    @property
    def kept(self) -> Array:
        """Share of each change that is in the merged one: its projection, 1 for all of it ``[n]``."""
        squares = np.diag(self.gramian)
        return np.divide(self.onto, squares, out=np.full(len(self.models), np.nan), where=squares > 0)

    @property
    def conflict(self) -> float:
        """Share of the places that several models changed in which they changed it in opposite directions."""
        return self.opposed / self.shared if self.shared else float("nan")

    @property
    def before(self) -> float:
        """Share of all changes that cancels in their plain sum."""
        whole = float(self.size.sum())
        return self.cancelled / whole if whole else float("nan")

    @property
    def after(self) -> float:
        """Share of all changes that the merged change goes against or drops."""
        whole = float(self.size.sum())
        return float(self.against.sum()) / whole if whole else float("nan")


def contributions(
    entries: Sequence[Entry],
    models: Mapping[str, tuple[str, ...]],
    merged: Mapping[str, Tensor],
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, Contribution]:
    """Return what each model brought to each tensor; one more pass over everything, block by block.

    Args:
        entries: of the merge.
        models: names of the models of each tensor.
        merged: the result.
        threads: how many work.
        progress: told of every tensor.
    """
    looked = [entry for entry in entries if entry.copy is None and entry.elements]
    tally = Tally(progress)
    tally.begin(COMPARING, sum(map(bytes_read, looked)))

    def look(entry: Entry) -> Contribution:
        found = _look(entry, models[entry.name], merged[entry.name].reshape(-1))
        tally.add(bytes_read(entry))
        return found

    before = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            return {entry.name: each for entry, each in zip(looked, pool.map(look, looked), strict=True)}
    finally:
        torch.set_num_threads(before)  # it is also what threads to come start with


def together(parts: Sequence[Contribution]) -> Contribution:
    """Return several tensors as if they were one; a model that has no part in some of them has no change there."""
    names = tuple(dict.fromkeys(name for part in parts for name in part.models))
    count = len(names)
    gramian, onto, size, against = np.zeros((count, count)), np.zeros(count), np.zeros(count), np.zeros(count)
    for part in parts:
        # The same model may stand in a part twice, as two of its layers.
        for i, first in enumerate(names.index(name) for name in part.models):
            onto[first] += part.onto[i]
            size[first] += part.size[i]
            against[first] += part.against[i]
            for j, second in enumerate(names.index(name) for name in part.models):
                gramian[first, second] += part.gramian[i, j]
    return Contribution(
        models=names,
        elements=sum(part.elements for part in parts),
        base=sum(part.base for part in parts),
        gramian=gramian,
        merged=sum(part.merged for part in parts),
        onto=onto,
        shared=sum(part.shared for part in parts),
        opposed=sum(part.opposed for part in parts),
        size=size,
        cancelled=sum(part.cancelled for part in parts),
        against=against,
    )


def look_bytes(entry: Entry) -> int:
    """Return about how much one thread holds while it looks at a tensor."""
    step, wide = _step(entry), max(8, entry.arithmetic.itemsize)
    return 2 * BLOCK * wide + (8 + 6 * len(entry.models)) * step * wide


def _step(entry: Entry) -> int:
    """Return how many numbers are looked at in one go: whole rows of what is worked out by rows, none of it twice."""
    sources = (*entry.models, *([] if entry.base is None else [entry.base]))
    width = max((source.width for source in sources if isinstance(source, LazyTensor)), default=1)
    return max(1, LENGTH // width) * width


@torch.inference_mode()  # calls on short blocks cost half as much
def _look(entry: Entry, models: tuple[str, ...], merged: Tensor) -> Contribution:
    found = _Found(len(entry.models))
    # What is worked out by rows has no address, and is cut by rows alone.
    length = entry.elements if any(isinstance(each, LazyTensor) for each in (entry.base, *entry.models)) else STRETCH
    for start in range(0, entry.elements, length):
        end = min(start + length, entry.elements)
        if not found.at_once(entry, merged, start, end):
            for origin, deltas, result in _changes(entry, merged, start, end):
                found.add(origin, deltas, result)
    return Contribution(
        models=models,
        elements=entry.elements,
        base=found.base,
        gramian=found.gramian,
        merged=found.merged,
        onto=found.onto,
        shared=int(found.places[0]),
        opposed=int(found.places[1]),
        size=found.size,
        cancelled=found.cancelled,
        against=found.against,
    )


class _Found:
    """The sums of a :class:`Contribution` so far."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.gramian, self.onto = np.zeros((count, count)), np.zeros(count)
        self.size, self.against = np.zeros(count), np.zeros(count)
        self.base = self.merged = self.cancelled = 0.0
        self.places = np.zeros(2, np.int64)

    def at_once(self, entry: Entry, merged: Tensor, start: int, end: int) -> bool:
        """Add a stretch in one call; return ``False``, having done nothing, where its blocks must be added."""
        block = Block(
            entry.name, start, end - start, entry.base, entry.models, entry.arithmetic, Buffers(), entry.shape
        )
        loops, places, result = kernels(), block.addresses(), address(merged, start)
        if loops is None or not places or not result or self.count >= AT_ONCE:
            return False
        rows = self.count + 1
        sums = np.zeros((len(pairs(rows)) + 1, LANES))
        sizes, met = np.zeros(2 * self.count + 1), np.zeros(2, np.int64)
        if not loops.brought(places[1:], result, places[0], block.length, sums, sizes, met):
            return False
        whole = of_pairs(sums[:-1], rows)
        self.gramian += whole[:-1, :-1]
        self.onto += whole[-1, :-1]
        self.merged += float(whole[-1, -1])
        self.base += float(sums[-1].sum())
        self.size += sizes[: self.count]
        self.against += sizes[self.count : -1]
        self.cancelled += float(sizes[-1])
        self.places += met
        return True

    def add(self, origin: Tensor, deltas: Tensor, result: Tensor) -> None:
        """Add what :func:`_changes` yields."""
        wide, last, first = deltas.double(), result.double(), origin.double()
        self.base += float(first @ first)
        self.merged += float(last @ last)
        self.gramian += (wide @ wide.T).numpy()
        self.onto += (wide @ last).numpy()
        sizes = deltas.abs()
        # Within a block sums are in what is computed in: to convert all of it costs more than everything else.
        summed = sizes.sum(dim=1)
        self.size += summed.double().numpy()
        self.cancelled += float(_added(sizes).sub_(_added(deltas).abs_()).sum())
        self.places += _met(deltas)
        along = torch.mul(deltas, result.sign(), out=sizes).clamp_(min=0.0)
        self.against += summed.sub_(along.sum(dim=1)).double().numpy()


def _met(deltas: Tensor) -> tuple[int, int]:
    """Return in how many places several of the changes ``[n, length]`` are not 0, and in how many these differ in sign.

    Signs are added up as the numbers they are: comparisons and booleans take several times as long.
    """
    signs = deltas.sign()
    together = _added(signs).abs_()
    present = _added(signs.abs_())
    # Every sign that is outvoted takes 2 from the sum of all.
    clashing = torch.sub(present, together).clamp_(max=1.0).sum()
    return int(present.sub_(1.0).clamp_(0.0, 1.0).sum()), int(clashing)


def _added(rows: Tensor) -> Tensor:
    """Return the sum ``[length]`` of rows ``[n, length]``, in a third of the time of a reduction across them."""
    total = rows[0].clone()
    for row in rows[1:]:
        total += row
    return total


def _changes(entry: Entry, merged: Tensor, first: int, end: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yield the origin ``[length]``, the changes ``[n, length]`` and the merged change, block by block, all finite."""
    buffers, step = Buffers(), _step(entry)
    for start in range(first, end, step):
        length = min(step, end - start)
        block = Block(entry.name, start, length, entry.base, entry.models, entry.arithmetic, buffers, entry.shape)
        if entry.base is not None:
            origin, deltas = block.base(), block.deltas().whole
        else:
            stack = block.stack()
            for index, row in enumerate(stack.rows):
                row.copy_(block.model(index))
            deltas = stack.whole
            origin = deltas.mean(dim=0)
            deltas.sub_(origin)
        result = block.buffer("result").copy_(merged[start : start + length]).sub_(origin)
        for found in (deltas, result):
            if not fits(found.view(-1), found.dtype):
                found.nan_to_num_()
        yield origin, deltas, result
