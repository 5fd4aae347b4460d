"""Inner products of a tensor's checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from accord.merging.at_once import LooksAtOnce
from accord.merging.block import Block
from accord.merging.compiled import AT_ONCE, LANES, kernels
from accord.merging.finite import fits
from accord.merging.survey import Part, Survey

Array = npt.NDArray[np.float64]
Vectors = Literal["models", "all", "deltas", "changes"]

# Those with the base first.
BASED = ("all", "changes")


class GramianSurvey(Survey):
    """All inner products of a tensor's checkpoints.

    Products of float32 numbers are exact in float64, in which they are added in an order of their own, so that the
    result is the same on every machine; those of float64 numbers are left to BLAS.

    Args:
        models: how many there are.
        vectors: ``"models"``; ``"all"``, with the base first; ``"deltas"``, the models minus the base; or
            ``"changes"``, these with the base first, in which numbers that are not finite count as 0.

    ``found`` is ``[n, n]``, or ``[1 + n, 1 + n]`` where the base is first, in float64. Cost: one pass,
    ``n (n + 1) / 2`` products per element.
    """

    def __init__(self, models: int, vectors: Vectors) -> None:
        self.models = models
        self.vectors: Vectors = vectors

    def part(self) -> Part:
        return _Products(self.models + (self.vectors in BASED), self.vectors)

    def take(self, parts: Sequence[Part]) -> None:
        self.found = sum(part.gramian() for part in parts if isinstance(part, _Products))
        self.finished = True


class _Products(Part, LooksAtOnce):
    def __init__(self, size: int, vectors: Vectors) -> None:
        self.sums = np.zeros((size * (size + 1) // 2, LANES))
        self.pairs = pairs(size)
        self.size = size
        self.vectors = vectors

    def look(self, block: Block) -> None:
        rows, loops = self._rows(block), kernels()
        if loops is not None and rows[0].dtype == torch.float32 and self.size <= AT_ONCE:
            loops.products(rows, self.sums)
            return
        for sums, (i, j) in zip(self.sums, self.pairs, strict=True):
            _add_products(rows[i], rows[j], sums)

    def at_once(self, stretch: Block) -> bool:
        loops, places = kernels(), stretch.addresses()
        if loops is None or not places or self.size > AT_ONCE or self.vectors == "changes":
            return False
        base, models = places[0], places if self.vectors == "all" else places[1:]
        loops.gramian(models, base if self.vectors == "deltas" else 0, stretch.length, self.sums)
        return True

    def gramian(self) -> Array:
        """Return what was found ``[size, size]``."""
        return of_pairs(self.sums, self.size)

    def _rows(self, block: Block) -> Sequence[Tensor]:
        if self.vectors == "deltas":
            return block.deltas().rows
        if self.vectors == "changes":
            base, rows = block.base(), block.deltas().rows
            return [base if fits(base, base.dtype) else base.nan_to_num(0.0, 0.0, 0.0), *rows]
        models = [block.model(index, f"row {index}") for index in range(block.count)]
        return [block.base(), *models] if self.vectors == "all" else models


def pairs(size: int) -> list[tuple[int, int]]:
    """Return the pairs of ``size`` vectors in the order of compiled loops: 0 0, 1 0, 1 1, 2 0, ..."""
    return [(i, j) for i in range(size) for j in range(i + 1)]


def of_pairs(sums: Array, size: int) -> Array:
    """Return inner products ``[size, size]`` from what was added up in lanes for each of :func:`pairs`."""
    found = np.zeros((size, size))
    with np.errstate(invalid="ignore"):  # infinities of both signs
        totals = sums.sum(1)
    for (i, j), total in zip(pairs(size), totals, strict=True):
        found[i, j] = found[j, i] = total
    return found


def _add_products(first: Tensor, second: Tensor, sums: Array) -> None:
    if first.dtype == torch.float64:
        sums[0] += torch.dot(first, second).item()
        return
    whole = len(first) // LANES * LANES
    products = (first.double() * second.double()).numpy()
    with np.errstate(invalid="ignore"):
        if whole:
            lanes = products[:whole].reshape(-1, LANES)
            lanes[0] += sums
            sums[:] = np.add.reduce(lanes)  # from the first row to the last
        sums[: len(first) - whole] += products[whole:]
