"""Merging by a weighted sum of whole tensors."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from accord.merging.at_once import MergesAtOnce
from accord.merging.block import Block
from accord.merging.compiled import kernels
from accord.merging.merging_method import MergingMethod

Array = npt.NDArray[np.float64]


class Combination(MergingMethod, MergesAtOnce):
    """A method whose result is ``c_0 base + sum_i c_i model_i``, with coefficients for each tensor.

    What such a method looks at, if anything, is the Gramian of a tensor's checkpoints. Coefficients act on the
    checkpoints and not on differences, so that one model with coefficient 1 comes back bit for bit.
    """

    @abstractmethod
    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        """Return ``[1 + n]`` coefficients: the base's, 0 where there is none, then the models'."""

    def combine(self, block: Block, found: Any) -> Tensor:
        return weigh(block, lambda: self.coefficients(block.count, block.has_base, found))

    def at_once(self, stretch: Block, found: Any) -> Tensor | None:
        return weigh_at_once(stretch, lambda: self.coefficients(stretch.count, stretch.has_base, found))


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


def weigh_at_once(stretch: Block, coefficients: Callable[[], Sequence[float]]) -> Tensor | None:
    """Return the same rounded to bfloat16; ``None`` as :meth:`accord.merging.at_once.MergesAtOnce.at_once` does."""
    loops = kernels()
    used = stretch.once("used", lambda: _used(coefficients(), torch.float32)) if loops is not None else []
    places = [stretch.address(index) for index, _, _ in used]
    if loops is None or not used or not all(places):
        return None
    result = stretch.buffer("result", torch.bfloat16)
    return result if loops.mix(places, [weight for _, weight, _ in used], result) else None


def _used(coefficients: Sequence[float], dtype: torch.dtype) -> list[tuple[int, float, Tensor]]:
    """Return place, -1 for the base, and coefficient of what has one; as a tensor, too, which multiplies faster."""
    return [
        (place, weight, torch.tensor(weight, dtype=dtype)) for place, weight in enumerate(coefficients, -1) if weight
    ]
