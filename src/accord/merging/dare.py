"""Drop and rescale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.election import elect
from accord.merging.masks import keep_mask
from accord.merging.merging_method import MergingMethod, per_model
from accord.merging.ties import check_densities
from accord.method import Method


class DARE(MergingMethod):
    """Drop entries of the task vectors at random and enlarge the others, then merge by task arithmetic or by TIES.

    Each entry of each task vector is kept with probability ``density`` and divided by it, else set to 0, so that the
    task vector stays the same in expectation. Masks are independent between models. They depend on ``seed``, the
    model's place and the tensor's name alone: on no other tensor, no thread and no order of work.

    Cost: one pass.

    Args:
        density: ``1 - p`` for the paper's drop rate p, one for all models or one for each: 0.1 and less for large
            language models.
        merge: ``"linear"``: the sum of the task vectors; ``"ties"``: the mean over those that agree with the elected
            sign, where no trimming is needed; ``"ties_sum"``: their sum, as mergekit has it unless told to normalise.
        scale: factor of the merged task vector; the paper's task arithmetic has one of about 0.3 to 1.
        weights: factor of each task vector, before any election. 1 when left out.
        rescale: divide what is kept by the density. mergekit restores each tensor's L1 norm instead, which is the same
            in expectation but no constant: on few entries its factor varies by hundreds.
        seed: of the masks.

    Source: Yu et al., Language Models are Super Mario: Absorbing Abilities from Homologous Models as a Free Lunch,
    2024.
    """

    method: ClassVar[Method] = Method(
        title="DARE",
        paper="Language Models are Super Mario: Absorbing Abilities from Homologous Models as a Free Lunch",
        year=2024,
        url="https://arxiv.org/abs/2311.03099",
        needs="parameters",
        cost="1 pass",
    )

    def __init__(
        self,
        density: Sequence[float] | float = 0.1,
        merge: Literal["linear", "ties", "ties_sum"] = "linear",
        scale: float = 1.0,
        weights: Sequence[float] | float | None = None,
        rescale: bool = True,
        seed: int = 0,
    ) -> None:
        check_densities(density)
        if merge not in ("linear", "ties", "ties_sum"):
            raise ConfigurationError(f"merge is 'linear', 'ties' or 'ties_sum'; got {merge!r}")
        self.density = density
        self.merge: Literal["linear", "ties", "ties_sum"] = merge
        self.scale = scale
        self.weights = weights
        self.rescale = rescale
        self.seed = seed

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def combine(self, block: Block, found: Any) -> Tensor:
        weights = per_model(self.weights, block.count, 1.0, "weights")
        densities = per_model(self.density, block.count, 1.0, "density")
        # Everything in units of the first model's, whose factors are then mostly 1 and need no multiplication.
        unit = weights[0] if weights[0] > 0 else 1.0
        weights = [weight / unit for weight in weights]
        shared = densities[0] if self.rescale else 1.0
        deltas = [self._dropped(block, index, density) for index, density in enumerate(densities)]
        for delta, weight, density in zip(deltas, weights, densities, strict=True):
            factor = weight * shared / density if self.rescale else weight
            if factor != 1.0:
                delta.mul_(factor)
        merged = self._sum(block, deltas, weights)
        factor = self.scale / shared * (1.0 if self.merge == "ties" else unit)
        return torch.add(block.base(), merged, alpha=factor, out=merged)

    def _sum(self, block: Block, deltas: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
        if self.merge != "linear":
            return elect(block, deltas, "mean" if self.merge == "ties" else "sum", weights)
        for delta in deltas[1:]:
            deltas[0].add_(delta)
        return deltas[0]

    def _dropped(self, block: Block, index: int, density: float) -> Tensor:
        delta = block.delta(index)
        if density == 1.0:
            return delta
        keep = keep_mask(self.seed, block.name, index, block.start, block.length, density)
        # A multiplication by 0 and 1 of the same type is five times as fast as one by a mask.
        return delta.mul_(block.buffer("keep").copy_(keep.view(torch.uint8)))
