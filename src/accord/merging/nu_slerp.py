"""Interpolation along an arc between two models, or between their task vectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from accord.errors import ConfigurationError
from accord.merging.combination import Array, Combination, GramianSurvey
from accord.merging.slerp import arc
from accord.merging.survey import Survey
from accord.method import Method


class NuSLERP(Combination):
    """Move from one model to another along the arc between them; with a base, along that between their task vectors.

    ``base + sin((1 - t) omega) / sin(omega) d_1 + sin(t omega) / sin(omega) d_2`` with ``omega`` the angle between the
    flattened task vectors of a tensor. Straight where these are almost parallel or opposed, or one is zero. Takes two
    models besides the base. Cost: two passes.

    Args:
        t: 0 is the first model and 1 the second; mergekit's ``weight_2 / (weight_1 + weight_2)``.

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

    def __init__(self, t: float = 0.5) -> None:
        if not 0.0 <= t <= 1.0:
            raise ConfigurationError(f"t must be between 0 (the first model) and 1 (the second); got {t}")
        self.t = t

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return None if self.t in (0.0, 1.0) else GramianSurvey(models, "deltas" if based else "models")

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        first, second = (1.0 - self.t, self.t) if gramian is None else arc(gramian, self.t)
        return [1.0 - first - second if based else 0.0, first, second]
