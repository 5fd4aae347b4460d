"""Merging by a weighted sum of whole tensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from accord.merging.block import Block
from accord.merging.compiled import kernels
from accord.merging.merging_method import MergingMethod
from accord.merging.survey import Part, Survey

Array = npt.NDArray[np.float64]
# Products are summed in runs of this many elements and the runs in float64: BLAS keeps enough partial sums of a run
# for a relative error of 1e-8 in float32.
RUN = 1 << 17


class Combination(MergingMethod):
    """A method whose result is ``c_0 base + sum_i c_i model_i``, with coefficients for each tensor.

    What such a method looks at, if anything, is the Gramian of a tensor's checkpoints. Coefficients act on the
    checkpoints and not on differences, so that one model with coefficient 1 comes back bit for bit.
    """

    @abstractmethod
    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        """Return ``[1 + n]`` coefficients: the base's, 0 where there is none, then the models'."""

    def combine(self, block: Block, found: Any) -> Tensor:
        return weigh(block, lambda: self.coefficients(block.count, block.has_base, found))


def weigh(block: Block, coefficients: Callable[[], Sequence[float]]) -> Tensor:
    """Return the weighted sum ``[length]`` of a block's checkpoints, in a buffer.

    Args:
        block: of a tensor.
        coefficients: returns those of the tensor, ``[1 + n]``: the base's, then the models'. Called once.
    """
    merged = block.buffer("merged")
    # A coefficient of 0 leaves its checkpoint out, infinities and all.
    used = block.once("used", lambda: _used(coefficients(), merged.dtype))
    if not used:
        return merged.zero_()
    loops = kernels()
    for place, (index, weight, factor) in enumerate(used):
        source = block.address(index)
        if loops is not None and source:
            loops.weigh(source, weight, place > 0, merged)
            continue
        values = block.base() if index < 0 else block.model(index)
        if place:
            merged.add_(values, alpha=weight)
        else:
            torch.mul(values, factor, out=merged)
    return merged


def _used(coefficients: Sequence[float], dtype: torch.dtype) -> list[tuple[int, float, Tensor]]:
    """Return place, -1 for the base, and coefficient of what has one; as a tensor, too, which multiplies faster."""
    return [
        (place, weight, torch.tensor(weight, dtype=dtype)) for place, weight in enumerate(coefficients, -1) if weight
    ]


class GramianSurvey(Survey):
    """All inner products of a tensor's checkpoints.

    Args:
        models: how many there are.
        vectors: ``"models"``; ``"all"``, with the base first; or ``"deltas"``, the models minus the base.

    ``found`` is ``[n, n]``, or ``[1 + n, 1 + n]`` for ``"all"``, in float64. Cost: one pass, ``n (n + 1) / 2`` products
    per element.
    """

    def __init__(self, models: int, vectors: str) -> None:
        self.models = models
        self.vectors = vectors

    def part(self) -> Part:
        return _Products(self.models + (self.vectors == "all"), self.vectors)

    def take(self, parts: Sequence[Part]) -> None:
        self.found = sum(part.total for part in parts if isinstance(part, _Products))
        self.finished = True


class _Products(Part):
    def __init__(self, size: int, vectors: str) -> None:
        self.total = np.zeros((size, size))
        self.vectors = vectors

    def look(self, block: Block) -> None:
        rows = self._rows(block)
        for i, first in enumerate(rows):
            for j, second in enumerate(rows[: i + 1]):
                self.total[i, j] += _dot(first, second)
                self.total[j, i] = self.total[i, j]

    def _rows(self, block: Block) -> Sequence[Tensor]:
        if self.vectors == "deltas":
            return block.deltas().rows
        models = [block.model(index, f"row {index}") for index in range(block.count)]
        return [block.base(), *models] if self.vectors == "all" else models


def _dot(first: Tensor, second: Tensor) -> float:
    if len(first) <= RUN:
        return torch.dot(first, second).item()
    return sum(torch.dot(one, other).item() for one, other in zip(first.split(RUN), second.split(RUN), strict=True))
