"""Sum task vectors entry by entry, letting only those take part that point where most of the sum does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from accord.merging.block import Block, Stack

How = Literal["mean", "sum", "max"]


def elect(block: Block, deltas: Stack, how: How, weights: Sequence[float], draw: float = 0.0) -> Tensor:
    """Return the merged task vector ``[length]`` in a buffer: zeros do not vote, nor count in the mean.

    Args:
        block: whose buffers are used.
        deltas: task vectors ``[n, length]``, already multiplied by ``weights``.
        how: over those with the elected sign: their sum divided by the sum of their weights, the sum, or the largest.
        weights: what the deltas were multiplied by.
        draw: the sign of entries whose sum is exactly 0; under 0 nothing is elected, and the entry stays 0.
    """
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
        sizes.whole.sign_()
        for size, weight in zip(sizes.rows, weights, strict=True):
            if abs(weight) != 1.0:
                size.mul_(abs(weight))
        # Where nobody took part the sum is 0, whatever it is divided by.
        merged.div_(total(sizes.rows, block.buffer("share")).clamp_min_(torch.finfo(merged.dtype).tiny))
    return merged.mul_(sign)


def total(rows: Sequence[Tensor], out: Tensor) -> Tensor:
    """Return the sum of ``rows``, ``[length]`` each, in ``out``; added from the first to the last."""
    if len(rows) == 1:
        return out.copy_(rows[0])
    torch.add(*rows[:2], out=out)
    for row in rows[2:]:
        out.add_(row)
    return out
