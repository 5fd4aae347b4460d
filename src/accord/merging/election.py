"""Sum task vectors entry by entry, letting only those take part that point where most of the sum does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from accord.merging.block import Block, Stack
from accord.merging.compiled import MOST, kernels

How = Literal["mean", "sum", "max"]
LIMIT = 256  # models that a byte can count


def elect(
    block: Block,
    deltas: Stack,
    how: How,
    weights: Sequence[float],
    draw: float = 0.0,
    least: Sequence[float] | None = None,
) -> Tensor:
    """Return the merged task vector ``[length]`` in a buffer: zeros do not vote, nor count in the mean.

    Args:
        block: whose buffers are used.
        deltas: task vectors ``[n, length]``, already multiplied by ``weights``.
        how: over those with the elected sign: their sum divided by the sum of their weights, the sum, or the largest.
        weights: what the deltas were multiplied by.
        draw: the sign of entries whose sum is exactly 0; under 0 nothing is elected, and the entry stays 0.
        least: magnitudes of each task vector below these count as 0.
    """
    loops = kernels()
    if loops is not None and how != "max" and deltas.whole.dtype == torch.float32 and block.count <= MOST:
        merged = block.buffer("merged")
        loops.elect(deltas.whole, least or [0.0] * block.count, weights, draw, how == "mean", merged)
        return merged
    for delta, bound in zip(deltas.rows, least or [], strict=least is not None):
        trim(delta, bound)
    sign = torch.sign(total(deltas.rows, block.buffer("total")), out=block.buffer("sign"))
    if draw:
        # draw * (1 - |sign|), for choosing by a mask costs fifty times as much
        sign.addcmul_(sign, sign, value=-draw).add_(draw)
    sizes = block.stack("sizes")
    # sign * delta is the size of those that agree and negative or 0 for all others
    torch.mul(deltas.whole, sign, out=sizes.whole).clamp_min_(0.0)
    if how == "max":
        return torch.amax(sizes.whole, 0, out=block.buffer("merged")).mul_(sign)
    merged = total(sizes.rows, block.buffer("merged"))
    if how == "mean":
        # Where nobody took part the sum is 0, whatever it is divided by.
        merged.div_(_taking_part(block, sizes, weights).clamp_min_(torch.finfo(merged.dtype).tiny))
    return merged.mul_(sign)


def _taking_part(block: Block, sizes: Stack, weights: Sequence[float]) -> Tensor:
    """Return the summed ``weights`` ``[length]`` of those whose size is above 0, in a buffer; ``sizes`` are lost."""
    share = block.buffer("share")
    if len(weights) < LIMIT and all(abs(weight) == 1.0 for weight in weights):
        # Counted in bytes, a quarter of the memory of floats.
        votes = block.stack("votes", torch.uint8)
        np.greater(sizes.whole.numpy(), 0.0, out=votes.whole.numpy().view(bool))
        return share.copy_(total(votes.rows, block.buffer("voters", torch.uint8)))
    sizes.whole.sign_()
    for size, weight in zip(sizes.rows, weights, strict=True):
        if abs(weight) != 1.0:
            size.mul_(abs(weight))
    return total(sizes.rows, share)


def total(rows: Sequence[Tensor], out: Tensor) -> Tensor:
    """Return the sum of ``rows``, ``[length]`` each, in ``out``; added from the first to the last."""
    if len(rows) == 1:
        return out.copy_(rows[0])
    torch.add(*rows[:2], out=out)
    for row in rows[2:]:
        out.add_(row)
    return out


def trim(delta: Tensor, least: float) -> None:
    """Set to 0 what is smaller than ``least``; NaN stays, so that it is seen in the result."""
    if least > 0:
        torch.hardshrink(delta, _below(least, delta.dtype == torch.float32), out=delta)


@lru_cache(maxsize=64)
def _below(number: float, narrow: bool) -> float:
    """Return the float32, or float64, just below a positive ``number`` of that type."""
    kind = np.float32 if narrow else np.float64
    return float(np.nextafter(kind(number), kind(0.0)))
