"""How much smaller task vectors become when they are trimmed, and what makes up for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.merging.accumulate import Array, Chain, Totals
from accord.merging.block import Block
from accord.merging.survey import Survey

Trim = Callable[[Block, Any], Sequence[Tensor]]


def with_sizes(first: Survey, trim: Trim) -> Survey:
    """Return a survey of sums of magnitudes after another one.

    Args:
        first: what ``trim`` must know.
        trim: returns the trimmed task vectors of a block, ``[length]`` each, from what ``first`` found.

    ``found`` is that of ``first``, and the sums of all task vectors before and after trimming, ``[2 n]``.
    """
    return Chain(first, lambda found: Totals(lambda block: _sizes(block, trim, found[0])))


def stretches(sizes: Array) -> list[float]:
    """Return the factors that give trimmed task vectors their sums back; 1 where there is none."""
    before, after = np.split(sizes, 2)
    there = (after > 0) & (before < np.inf)
    return np.divide(before, after, out=np.ones_like(before), where=there).tolist()


def _sizes(block: Block, trim: Trim, found: Any) -> Array:
    before = [_size(delta) for delta in block.deltas().rows]
    return np.array(before + [_size(delta) for delta in trim(block, found)])


def _size(delta: Tensor) -> float:
    return torch.linalg.vector_norm(delta, 1).item()
