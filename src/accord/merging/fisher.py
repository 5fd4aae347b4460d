"""Averages of weights in which each counts by how sure its model is of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError, DataError
from accord.merging.block import Block
from accord.merging.learned.statistics import Statistics, check_statistics
from accord.merging.merging_method import MergingMethod, per_model
from accord.method import Method


class Fisher(MergingMethod):
    """Average entry by entry, ``sum_i c_i F_i theta_i / sum_i c_i F_i``, weighted by the models' Fisher information.

    ``F_i`` is the diagonal Fisher information of model i on its own data, see :func:`fisher_information`: how much its
    predictions change with that weight. With all ``F`` equal it is the average. Tensors of which the statistics say
    nothing, such as buffers, are averaged with the weights ``c``. Cost: one pass; the statistics, ``n P`` numbers, are
    held in memory unless they come from an opened checkpoint.

    Args:
        statistics: one for each model, in order.
        weights: ``c``, one for each model, at least 0; equal ones when left out. The authors search them: a grid of 50
            for two models, a Dirichlet distribution for more.
        normalise: divide every ``F_i`` by its length over the whole model first, as the authors do, so that a model of
            sharper predictions does not outweigh the others.
        floor: smallest ``F`` of any entry, after normalising. The authors put it under one of the models, the target,
            alone; here, where none is, under all.

    Source: Matena and Raffel, Merging Models with Fisher-Weighted Averaging, 2022.
    """

    method: ClassVar[Method] = Method(
        title="Fisher merging",
        paper="Merging Models with Fisher-Weighted Averaging",
        year=2022,
        url="https://arxiv.org/abs/2111.09832",
        needs="data",
        cost="1 pass, and a backward per sample and class before",
    )
    base: ClassVar[Literal["needed", "optional", "unused"]] = "unused"

    def __init__(
        self,
        statistics: Sequence[Statistics | Mapping[str, Tensor]],
        weights: Sequence[float] | None = None,
        normalise: bool = True,
        floor: float = 1e-6,
    ) -> None:
        if not floor > 0:
            raise ConfigurationError(
                f"floor must be positive, or entries with no information have no weight; got {floor}"
            )
        if weights is not None and (min(weights) < 0 or not sum(weights) > 0):
            raise ConfigurationError(f"weights must be at least 0 and not all 0; got {list(weights)}")
        self.statistics = check_statistics(statistics, "fisher")
        self.weights = weights
        self.normalise = normalise
        self.floor = floor
        self._lengths = [_length(one) if normalise else 1.0 for one in self.statistics]

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def combine(self, block: Block, found: Any) -> Tensor:
        known = check_statistics(self.statistics, "fisher", block.count)
        weights = per_model(self.weights, block.count, 1.0, "weights")
        if block.count == 1:
            return block.buffer("merged").copy_(block.model(0))
        merged, total = block.buffer("merged").zero_(), block.buffer("total").zero_()
        for index, (one, length, weight) in enumerate(zip(known, self._lengths, weights, strict=True)):
            share = self._share(block, one, index).div_(length).clamp_(min=self.floor).mul_(weight)
            total.add_(share)
            merged.addcmul_(block.model(index), share)
        return merged.div_(total)

    def _share(self, block: Block, known: Mapping[str, Tensor], index: int) -> Tensor:
        share = block.buffer("share")
        if block.name not in known:
            return share.fill_(1.0)
        value = known[block.name]
        if tuple(value.shape) != tuple(block.shape):
            raise DataError(
                f"the Fisher information of model {index} for {block.name} is {list(value.shape)}, the tensor "
                f"{list(block.shape)}: it was taken from another model"
            )
        return share.copy_(value.reshape(-1)[block.start : block.start + block.length])


def _length(known: Mapping[str, Tensor]) -> float:
    total = sum(float(value.double().square().sum()) for value in known.values())
    if not total > 0 or not torch.isfinite(torch.tensor(total)):
        raise DataError(
            f"the Fisher information has length {total**0.5}: nothing to weigh by, or numbers that are not finite"
        )
    return total**0.5
