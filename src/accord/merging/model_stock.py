"""How far to go from the base towards the mean, from the angle between the models."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
from torch import Tensor

from accord.merging.block import Block
from accord.merging.combination import Array, weigh
from accord.merging.gramians import GramianSurvey
from accord.merging.merging_method import MergingMethod
from accord.merging.strips import check_by, row_gramians, weigh_strips
from accord.merging.survey import Survey
from accord.method import Method


class ModelStock(MergingMethod):
    """Interpolate between the base and the mean of the models: ``t mean_i model_i + (1 - t) base``, for each tensor.

    ``t = n cos / (1 + (n - 1) cos)`` with ``cos`` the mean cosine between two task vectors of that tensor: the point
    nearest to the centre of the fine-tuned solutions if these lie on a thin shell around it. Two models suffice.

    Cost: two passes, the first with ``n (n - 1) / 2`` inner products per tensor; by row one pass. A model that equals
    the base in a tensor has no angle there, and counts as a right one. A negative mean cosine gives the base
    (``t = 0``): the formula would lead away from the models. A task vector that is not finite has no angle, either,
    and its very entries are not finite in the result.

    Args:
        by: one ``t`` for each ``"tensor"``, as the paper has it; or for each ``"row"``, a run along the last dimension
            (mergekit's ``filter_wise``).

    Source: Jang, Yun and Han, Model Stock: All we need is just a few fine-tuned models, 2024.
    """

    method: ClassVar[Method] = Method(
        title="Model Stock",
        paper="Model Stock: All we need is just a few fine-tuned models",
        year=2024,
        url="https://arxiv.org/abs/2403.19522",
        needs="parameters",
        cost="2 passes",
    )
    fewest: ClassVar[int] = 2

    def __init__(self, by: Literal["tensor", "row"] = "tensor") -> None:
        check_by(by, "tensor", "row")
        self.by: Literal["tensor", "row"] = by
        self.by_rows = by == "row"

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return None if self.by == "row" else GramianSurvey(models, "deltas")

    def combine(self, block: Block, found: Any) -> Tensor:
        models = block.count
        if self.by == "tensor" and block.once("finite", lambda: bool(np.isfinite(found).all())):
            return weigh(block, lambda: _coefficients(float(ratios(found)), models))
        # A share of 0 leaves a model out, but not its numbers that are not finite: those are to be seen.
        shares = ratios(row_gramians(block) if self.by == "row" else found[None])
        by = "row" if self.by == "row" else "column"
        return weigh_strips(block, np.repeat(shares[:, None] / models, models, axis=1), by)


def _coefficients(share: float, models: int) -> list[float]:
    return [1.0 - share, *[share / models] * models]


def ratios(gramians: Array) -> Array:
    """Return ``t`` in [0, 1], ``[...]``, from Gramians of task vectors, ``[..., n, n]``."""
    models = gramians.shape[-1]
    lengths = np.sqrt(np.diagonal(gramians, axis1=-2, axis2=-1))
    sizes = lengths[..., :, None] * lengths[..., None, :]
    cosines = np.divide(gramians, sizes, out=np.zeros_like(gramians), where=(sizes > 0) & (sizes < np.inf))
    pairs = cosines.sum((-2, -1)) - np.trace(cosines, axis1=-2, axis2=-1)
    cosine = np.clip(pairs / (models * (models - 1)), 0.0, 1.0)
    return models * cosine / (1.0 + (models - 1) * cosine)
