"""Task vectors without their largest and their smallest entries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.accumulate import Chain, Known
from accord.merging.block import Block
from accord.merging.gathering import Merge, check_merge, gather
from accord.merging.merging_method import MergingMethod, per_model
from accord.merging.restoring import stretches, with_sizes
from accord.merging.selection import Thresholds, top
from accord.merging.survey import Survey
from accord.merging.ties import check_densities, magnitudes
from accord.method import Method


class Breadcrumbs(MergingMethod):
    """Drop the largest and the smallest entries of each task vector, and add up the rest.

    Of the magnitudes of each task vector in each tensor, the ``gamma`` largest are taken for outliers and the
    ``density`` next ones are kept; the others are negligible. Cost: two passes and a sample; by row one pass.

    Args:
        density: share that is kept, above 0 and at most 1, one for all models or one for each; rounded down to a whole
            number of entries, at least one. The paper's beta is the percentile below which entries are dropped,
            ``1 - gamma - density``.
        gamma: share of outliers, at least 0 and below 0.5, one for all models or one for each; rounded down.
        trim: rank entries over each ``"tensor"``, as the paper and mergekit do; over each ``"row"``, i.e. each run
            along the last dimension, as the authors' code does; or over the whole ``"model"``.
        merge: ``"linear"``, the sum; ``"ties"``, the mean over those that agree with the elected sign (mergekit's
            breadcrumbs_ties); or ``"ties_sum"``, their sum.
        scale: factor of the merged task vector.
        weights: factor of each task vector, before any election. 1 when left out.
        rescale: enlarge what is kept of each task vector to the sum of magnitudes it had, over each tensor, or over
            the model where that is ranked (mergekit's option; not in the paper). One pass more.

    The defaults are where the authors' search starts. Entries as large as the largest or smallest kept one are kept,
    too. One model at density 1, gamma 0 and scale 1 comes back.

    Source: Davari and Belilovsky, Model Breadcrumbs: Scaling Multi-Task Model Merging with Sparse Masks, 2024.
    """

    method: ClassVar[Method] = Method(
        title="Model Breadcrumbs",
        paper="Model Breadcrumbs: Scaling Multi-Task Model Merging with Sparse Masks",
        year=2024,
        url="https://arxiv.org/abs/2312.06795",
        needs="parameters",
        cost="2 passes and a sample",
    )
    by_rows = True

    stacks: ClassVar[int] = 2

    def __init__(
        self,
        density: Sequence[float] | float = 0.15,
        gamma: Sequence[float] | float = 0.006,
        trim: Literal["tensor", "row", "model"] = "tensor",
        merge: Merge = "linear",
        scale: float = 0.2,
        weights: Sequence[float] | float | None = None,
        rescale: bool = False,
    ) -> None:
        check_densities(density)
        check_gammas([gamma] if isinstance(gamma, int | float) else gamma)
        if trim not in ("tensor", "row", "model"):
            raise ConfigurationError(f"trim is 'tensor', 'row' or 'model'; got {trim!r}")
        check_merge(merge)
        self.density = density
        self.gamma = gamma
        self.trim: Literal["tensor", "row", "model"] = trim
        self.merge: Merge = merge
        self.scale = scale
        self.weights = weights
        self.rescale = rescale
        self.scope = "model" if trim == "model" else "tensor"

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        bounds = self._bounds(models, elements)
        if not self.rescale:
            return bounds
        return with_sizes(Known(None) if bounds is None else bounds, self._trimmed)

    def _bounds(self, models: int, elements: int) -> Survey | None:
        pairs = self._ranks(models, elements)
        ranks = sorted({rank for pair in pairs for rank in pair if rank is not None and rank < elements})
        if self.trim == "row" or not ranks:
            return None
        places = [[None if rank not in ranks else ranks.index(rank) for rank in pair] for pair in pairs]
        thresholds = Thresholds(models, elements, ranks)
        return Chain(Known(places), lambda _: thresholds, later_bytes=thresholds.bytes)

    def combine(self, block: Block, found: Any) -> Tensor:
        bounds, sizes = found if self.rescale else (found, None)
        weights = per_model(self.weights, block.count, 1.0, "weights")
        more = [1.0] * block.count if sizes is None else stretches(sizes)
        for delta, weight, stretch in zip(self._trimmed(block, bounds), weights, more, strict=True):
            delta.mul_(weight * stretch)
        return gather(block, block.stack(), self.merge, weights).mul_(self.scale).add_(block.base())

    def _trimmed(self, block: Block, bounds: Any) -> Sequence[Tensor]:
        trim = self._trimmed_rows if self.trim == "row" else _trimmed
        return [trim(block, index, bounds) for index in range(block.count)]

    def _trimmed_rows(self, block: Block, index: int, found: Any) -> Tensor:
        row = block.shape[-1] if block.shape else 1
        largest, smallest = (None if rank is None else row - rank for rank in self._ranks(block.count, row)[index])
        delta = block.delta(index)
        sizes = magnitudes(block, index, delta).view(-1, row)
        wanted = [place for place in (largest, smallest) if place is not None]
        ordered = torch.from_numpy(np.partition(sizes.numpy(), wanted, axis=1))
        drop = sizes < ordered[:, [smallest]]
        if largest is not None:
            drop |= sizes > ordered[:, [largest]]
        return delta.masked_fill_(drop.view(-1), 0.0)

    def _ranks(self, models: int, elements: int) -> list[tuple[int | None, int]]:
        """Return the ranks of each model's largest kept magnitude, ``None`` without outliers, and of its smallest."""
        densities = per_model(self.density, models, 1.0, "density")
        gammas = per_model(self.gamma, models, 0.0, "gamma")
        outliers = [math.floor(Fraction(repr(gamma)) * elements) for gamma in gammas]
        return [
            (beyond + 1 if beyond else None, min(beyond + top(density, elements), elements))
            for beyond, density in zip(outliers, densities, strict=True)
        ]


def check_gammas(gammas: Sequence[float]) -> None:
    """Raise a :class:`ConfigurationError` unless all are shares of outliers."""
    for gamma in gammas:
        if not 0.0 <= gamma < 0.5:
            raise ConfigurationError(f"gamma is the share of outliers, at least 0 and below 0.5; got {gamma}")


def _trimmed(block: Block, index: int, found: Any) -> Tensor:
    delta = block.delta(index)
    if found is None:
        return delta
    places, bounds = found
    high, low = (None if place is None else bounds[index][place] for place in places[index])
    sizes = magnitudes(block, index, delta)
    if low is not None:
        delta.masked_fill_(sizes < low, 0.0)
    return delta if high is None else delta.masked_fill_(sizes > high, 0.0)
