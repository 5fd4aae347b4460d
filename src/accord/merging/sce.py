"""Select where the models differ, weigh them by how much they moved there, and erase minority directions."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.merging.accumulate import Array, Chain, Totals
from accord.merging.block import Block
from accord.merging.merging_method import MergingMethod
from accord.merging.selection import Thresholds, top
from accord.merging.survey import Survey
from accord.merging.ties import check_density
from accord.method import Method


class SCE(MergingMethod):
    """Merge tensor by tensor with coefficients from the task vectors themselves.

    1. *Select* the ``density`` entries in which the variance between the task vectors is largest; the others stay as in
       the base.
    2. *Calculate* a coefficient for each model, in proportion to the sum of squares of its selected entries.
    3. *Erase*, in each entry, the models whose sign is not that of the sum of all; the weighted mean of the others is
       merged.

    Cost: three passes and a sample, while the tensor is at hand; one pass less at density 1.

    Args:
        density: share that is selected, above 0 and at most 1; rounded down to a whole number of entries, at least
            one. The paper takes 0.1; mergekit's select_topk of 1 selects everything. mergekit counts the share of the
            entries whose variance is not 0, the paper of all.
        scale: factor of the merged task vector.

    Entries whose variance equals the smallest selected one are selected, too. Where the sum of all is exactly 0 no sign
    is in the minority and the entry stays as in the base; mergekit keeps the positive ones.

    Source: Wan et al., FuseChat: Knowledge Fusion of Chat Models, 2024.
    """

    method: ClassVar[Method] = Method(
        title="SCE",
        paper="FuseChat: Knowledge Fusion of Chat Models",
        year=2024,
        url="https://arxiv.org/abs/2408.07990",
        needs="parameters",
        cost="3 passes and a sample",
    )

    def __init__(self, density: float = 0.1, scale: float = 1.0) -> None:
        check_density(density)
        self.density = density
        self.scale = scale

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        if self.density == 1.0:
            return Chain(Totals(_squares))
        thresholds = Thresholds(1, elements, [top(self.density, elements)], lambda block: [variance(block)])
        return Chain(thresholds, lambda found: Totals(lambda block: _squares(block, found[0][0][0])))

    def combine(self, block: Block, found: Any) -> Tensor:
        least = None if self.density == 1.0 else found[0][0][0]
        squares: Array = found[-1]
        total = squares.sum()
        shares = squares / total if total > 0 else np.full(block.count, 1.0 / block.count)
        deltas = _selected(block, least)
        sign = block.buffer("sign").copy_(deltas[0])
        for delta in deltas[1:]:
            sign.add_(delta)
        sign.sign_()
        merged, share, agrees = block.buffer("merged").zero_(), block.buffer("share").zero_(), block.buffer("agrees")
        for delta, weight in zip(deltas, shares.tolist(), strict=True):
            torch.mul(sign, delta, out=agrees).clamp_(min=0.0)
            merged.add_(agrees, alpha=weight)
            share.add_(agrees.sign_(), alpha=weight)
        merged.div_(share.clamp_(min=torch.finfo(share.dtype).tiny))
        return merged.mul_(sign).mul_(self.scale).add_(block.base())


def variance(block: Block) -> Tensor:
    """Return the variance ``[length]`` between the task vectors, by the number of models."""
    return _spread(block, [block.delta(index) for index in range(block.count)])


def _spread(block: Block, deltas: list[Tensor]) -> Tensor:
    mean = block.buffer("mean").zero_()
    for delta in deltas:
        mean.add_(delta, alpha=1.0 / block.count)
    total, apart = block.buffer("variance").zero_(), block.buffer("apart")
    for delta in deltas:
        torch.sub(delta, mean, out=apart)
        total.addcmul_(apart, apart)
    return total.div_(block.count)


def _selected(block: Block, least: float | None) -> list[Tensor]:
    deltas = [block.delta(index) for index in range(block.count)]
    if least is None:
        return deltas
    drop = _spread(block, deltas) < least
    return [delta.masked_fill_(drop, 0.0) for delta in deltas]


def _squares(block: Block, least: float | None = None) -> Array:
    found = []
    for delta in _selected(block, least):
        total = torch.dot(delta, delta).item()
        found.append(
            total if math.isfinite(total) else delta.nan_to_num_(0.0, 0.0, 0.0).double().square_().sum().item()
        )
    return np.array(found)
