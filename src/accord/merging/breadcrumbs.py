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
from accord.merging.block import Block
from accord.merging.election import elect
from accord.merging.merging_method import MergingMethod, per_model
from accord.merging.selection import Thresholds, top
from accord.merging.survey import Survey
from accord.merging.ties import check_density, magnitudes
from accord.method import Method


class Breadcrumbs(MergingMethod):
    """Drop the largest and the smallest entries of each task vector, and add up the rest.

    Of the magnitudes of each task vector in each tensor, the ``gamma`` largest are taken for outliers and the
    ``density`` next ones are kept; the others are negligible. Cost: two passes and a sample; by row one pass.

    Args:
        density: share that is kept, above 0 and at most 1; rounded down to a whole number of entries, at least one. The
            paper's beta is the percentile below which entries are dropped, ``1 - gamma - density``.
        gamma: share of outliers, at least 0 and below 0.5, rounded down.
        trim: rank entries over each ``"tensor"``, as the paper and mergekit do; over each ``"row"``, i.e. each run
            along the last dimension, as the authors' code does; or over the whole ``"model"``.
        merge: ``"linear"``, the sum; or ``"ties"``, the mean over those that agree with the elected sign (mergekit's
            breadcrumbs_ties).
        scale: factor of the merged task vector.
        weights: factor of each task vector, before any election. 1 when left out.

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
    by_rows: ClassVar[bool] = True

    def __init__(
        self,
        density: float = 0.15,
        gamma: float = 0.006,
        trim: Literal["tensor", "row", "model"] = "tensor",
        merge: Literal["linear", "ties"] = "linear",
        scale: float = 0.2,
        weights: Sequence[float] | float | None = None,
    ) -> None:
        check_density(density)
        if not 0.0 <= gamma < 0.5:
            raise ConfigurationError(f"gamma is the share of outliers, at least 0 and below 0.5; got {gamma}")
        if trim not in ("tensor", "row", "model"):
            raise ConfigurationError(f"trim is 'tensor', 'row' or 'model'; got {trim!r}")
        if merge not in ("linear", "ties"):
            raise ConfigurationError(f"merge is 'linear' or 'ties'; got {merge!r}")
        self.density = density
        self.gamma = gamma
        self.trim: Literal["tensor", "row", "model"] = trim
        self.merge: Literal["linear", "ties"] = merge
        self.scale = scale
        self.weights = weights
        self.scope = "model" if trim == "model" else "tensor"

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        if self.trim == "row" or (self.density == 1.0 and not self.gamma):
            return None
        return Thresholds(models, elements, self._ranks(elements), magnitudes)

    def combine(self, block: Block, found: Any) -> Tensor:
        weights = per_model(self.weights, block.count, 1.0, "weights")
        deltas = [self._trimmed(block, index, found).mul_(weight) for index, weight in enumerate(weights)]
        if self.merge == "ties":
            merged = elect(block, deltas, "mean", weights)
        else:
            merged = block.buffer("merged").copy_(deltas[0])
            for delta in deltas[1:]:
                merged.add_(delta)
        return merged.mul_(self.scale).add_(block.base())

    def _trimmed(self, block: Block, index: int, found: Any) -> Tensor:
        delta = block.delta(index)
        sizes = magnitudes(block, index, delta)
        if self.trim == "row":
            return _trimmed_rows(delta, sizes, block.shape[-1] if block.shape else 1, self._ranks)
        if found is None:
            return delta
        largest, smallest = found[index] if len(found[index]) == 2 else (math.inf, found[index][0])
        return delta.masked_fill_((sizes > largest) | (sizes < smallest), 0.0)

    def _ranks(self, elements: int) -> list[int]:
        """Return the ranks of the largest and of the smallest kept magnitude; of the latter alone without outliers."""
        outliers = math.floor(Fraction(repr(self.gamma)) * elements)
        kept = top(self.density, elements)
        return [outliers + 1, outliers + kept] if outliers else [kept]


def _trimmed_rows(delta: Tensor, sizes: Tensor, row: int, ranks: Any) -> Tensor:
    wanted = [row - min(rank, row) for rank in ranks(row)]
    ordered = np.partition(sizes.view(-1, row).numpy(), wanted, axis=1)
    bounds = [torch.from_numpy(ordered[:, place : place + 1]) for place in wanted]
    drop = sizes.view(-1, row) < bounds[-1]
    if len(bounds) == 2:
        drop |= sizes.view(-1, row) > bounds[0]
    return delta.masked_fill_(drop.view(-1), 0.0)
