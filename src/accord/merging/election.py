"""Sum task vectors entry by entry, letting only those take part that point where most of the sum does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from accord.merging.block import Block

How = Literal["mean", "sum", "max"]


def elect(block: Block, deltas: Sequence[Tensor], how: How, weights: Sequence[float], draw: float = 0.0) -> Tensor:
    """Return the merged task vector ``[length]`` in a buffer: zeros do not vote, nor count in the mean.

    Args:
        block: whose buffers are used.
        deltas: task vectors ``[length]``, already multiplied by ``weights``.
        how: over those with the elected sign: their sum divided by the sum of their weights, the sum, or the largest.
        weights: what the deltas were multiplied by.
        draw: the sign of entries whose sum is exactly 0; under 0 nothing is elected, and the entry stays 0.
    """
    total = deltas[0] if len(deltas) == 1 else torch.add(*deltas[:2], out=block.buffer("total"))
    for delta in deltas[2:]:
        total.add_(delta)
    sign = torch.sign(total, out=block.buffer("sign"))
    if draw:
        # draw * (1 - |sign|), for choosing by a mask costs fifty times as much
        sign.add_(sign.abs(), alpha=-draw).add_(draw)
    merged, agrees, share = (block.buffer(key) for key in ("merged", "agrees", "share"))
    for place, (delta, weight) in enumerate(zip(deltas, weights, strict=True)):
        # sign * delta is the size of those that agree and negative or 0 for all others
        size = torch.mul(sign, delta, out=agrees if place else merged).clamp_(min=0.0)
        if how == "max":
            torch.maximum(merged, size, out=merged)
        elif place:
            merged.add_(size)
        if how != "mean":
            continue
        if place:
            share.add_(size.sign_(), alpha=abs(weight))
        else:
            torch.sign(size, out=share)
            if abs(weight) != 1.0:
                share.mul_(abs(weight))
    if how == "mean":
        # Where nobody took part the sum is 0, whatever it is divided by.
        merged.div_(share.clamp_(min=torch.finfo(share.dtype).tiny))
    return merged.mul_(sign)
