"""Drop and rescale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from accord.merging.at_once import MergesAtOnce
from accord.merging.block import Block, Stack
from accord.merging.compiled import Delta
from accord.merging.gathering import Merge, check_merge, gather, gather_at_once
from accord.merging.masks import draws, drop
from accord.merging.merging_method import MergingMethod, per_model
from accord.merging.ties import check_densities
from accord.method import Method


class DARE(MergingMethod, MergesAtOnce):
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

    stacks: ClassVar[int] = 2

    def __init__(
        self,
        density: Sequence[float] | float = 0.1,
        merge: Merge = "linear",
        scale: float = 1.0,
        weights: Sequence[float] | float | None = None,
        rescale: bool = True,
        seed: int = 0,
    ) -> None:
        check_densities(density)
        check_merge(merge)
        self.density = density
        self.merge: Merge = merge
        self.scale = scale
        self.weights = weights
        self.rescale = rescale
        self.seed = seed

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def combine(self, block: Block, found: Any) -> Tensor:
        weights, densities, factors, scale = block.once("factors", lambda: self._factors(block.count))
        deltas = self._dropped(block, densities)
        for delta, factor in zip(deltas.rows, factors, strict=True):
            if factor != 1.0:
                delta.mul_(factor)
        merged = gather(block, deltas, self.merge, weights)
        return torch.add(block.base(), merged, alpha=scale, out=merged)

    def at_once(self, stretch: Block, found: Any) -> Tensor | None:
        weights, densities, factors, scale = stretch.once("factors", lambda: self._factors(stretch.count))
        deltas = [
            draws(Delta(factor=factor, weight=abs(weight)), self.seed, stretch.name, index, density)
            for index, (weight, density, factor) in enumerate(zip(weights, densities, factors, strict=True))
        ]
        return gather_at_once(stretch, self.merge, deltas, scale)

    def _factors(self, models: int) -> tuple[list[float], list[float], list[float], float]:
        """Return weights, densities, the factors of what is kept, and that of the merged task vector.

        All are in units of the first model's, whose factors are then mostly 1 and need no multiplication.
        """
        weights = per_model(self.weights, models, 1.0, "weights")
        densities = per_model(self.density, models, 1.0, "density")
        unit = weights[0] if weights[0] > 0 else 1.0
        weights = [weight / unit for weight in weights]
        shared = densities[0] if self.rescale else 1.0
        pairs = zip(weights, densities, strict=True)
        factors = [weight * shared / density if self.rescale else weight for weight, density in pairs]
        return weights, densities, factors, self.scale / shared * (1.0 if self.merge == "ties" else unit)

    def _dropped(self, block: Block, densities: Sequence[float]) -> Stack:
        deltas = block.deltas()
        for index, (row, density) in enumerate(zip(deltas.rows, densities, strict=True)):
            drop(self.seed, block.name, index, block.start, density, row)
        return deltas
