"""Interpolation along an arc between two models, or between their task vectors."""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal

from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.arcs import arcs
from accord.merging.block import Block
from accord.merging.combination import Array, weigh
from accord.merging.gramians import GramianSurvey
from accord.merging.merging_method import MergingMethod
from accord.merging.strips import By, ColumnGramians, check_by, row_gramians, weigh_strips
from accord.merging.survey import Survey
from accord.method import Method


class NuSLERP(MergingMethod):
    """Move from one model to another along the arc between them; with a base, along that between their task vectors.

    ``base + sin((1 - t) omega) / sin(omega) d_1 + sin(t omega) / sin(omega) d_2`` with ``omega`` the angle between the
    flattened task vectors of a tensor, or of a row or column. Straight where these are almost parallel or opposed
    (absolute cosine above 0.9995), or one is zero or not finite. Takes two models besides the base.

    Cost: two passes, by row one.

    Args:
        t: 0 is the first model and 1 the second, both bit for bit; mergekit's ``weight_2 / (weight_1 + weight_2)``.
            Below 0 and above 1 the arc goes on.
        by: one angle for each ``"tensor"``; for each ``"row"``, a run along the last dimension, which in a linear
            layer holds what leads to one output; or for each ``"column"``, a run along the first, which holds what
            leaves one input. mergekit's ``nuslerp_flatten: false`` is by row, and with ``nuslerp_row_wise: true`` by
            column: its code and its documentation call them the other way round, and models were merged by the code.

    Source: Shoemake, Animating rotation with quaternion curves, 1985; on task vectors as in mergekit's nuslerp.
    """

    method: ClassVar[Method] = Method(
        title="NuSLERP",
        paper="Animating rotation with quaternion curves",
        year=1985,
        url="https://doi.org/10.1145/325334.325242",
        needs="parameters",
        cost="2 passes",
    )
    base: ClassVar[Literal["needed", "optional", "unused"]] = "optional"
    fewest: ClassVar[int] = 2
    most: ClassVar[int | None] = 2

    def __init__(self, t: float = 0.5, by: By = "tensor") -> None:
        if not math.isfinite(t):
            raise ConfigurationError(f"t is a number, 0 for the first model and 1 for the second; got {t}")
        check_by(by, "tensor", "row", "column")
        self.t = t
        self.by: By = by
        self.by_rows = by == "row"

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        if self.t in (0.0, 1.0) or self.by == "row":
            return None
        return ColumnGramians(models) if self.by == "column" else GramianSurvey(models, "deltas" if based else "models")

    def combine(self, block: Block, found: Any) -> Tensor:
        if self.by == "tensor" or self.t in (0.0, 1.0):
            return weigh(block, lambda: self._coefficients(block.has_base, found))
        if self.by == "row":
            return weigh_strips(block, arcs(row_gramians(block), self.t), "row")
        return weigh_strips(block, block.once("arcs", lambda: arcs(found, self.t)), "column")

    def _coefficients(self, based: bool, gramian: Array | None) -> list[float]:
        first, second = (1.0 - self.t, self.t) if gramian is None else arcs(gramian, self.t).tolist()
        return [1.0 - first - second if based else 0.0, first, second]
