"""Interpolation along the arc between two models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from accord.errors import ConfigurationError
from accord.merging.arcs import arcs
from accord.merging.combination import Array, Combination
from accord.merging.gramians import GramianSurvey
from accord.merging.survey import Survey
from accord.method import Method


class SLERP(Combination):
    """Move from one model to another along the arc between them, tensor by tensor.

    ``sin((1 - t) omega) / sin(omega) a + sin(t omega) / sin(omega) b`` with ``omega`` the angle between the flattened
    tensors, whose lengths are left as they are. Straight interpolation takes its place where the tensors are almost
    parallel or opposed (absolute cosine above 0.9995), or one is zero or not finite.

    Takes two models; or a base, which is then the first end, and one model. Cost: two passes, the first for angles.

    Args:
        t: 0 is the first end and 1 the second, both bit for bit. Below 0 and above 1 the arc goes on.

    Source: Shoemake, Animating rotation with quaternion curves, 1985; on whole tensors as in mergekit.
    """

    method: ClassVar[Method] = Method(
        title="SLERP",
        paper="Animating rotation with quaternion curves",
        year=1985,
        url="https://doi.org/10.1145/325334.325242",
        needs="parameters",
        cost="2 passes",
    )
    base: ClassVar[Literal["needed", "optional", "unused"]] = "optional"
    fewest: ClassVar[int] = 2
    most: ClassVar[int | None] = 2
    counts_base: ClassVar[bool] = True

    def __init__(self, t: float = 0.5) -> None:
        if not math.isfinite(t):
            raise ConfigurationError(f"t is a number, 0 for the first end and 1 for the second; got {t}")
        self.t = t

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return None if self.t in (0.0, 1.0) else GramianSurvey(models, "all" if based else "models")

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        first, second = (1.0 - self.t, self.t) if gramian is None else arcs(gramian, self.t).tolist()
        return [first, second] if based else [0.0, first, second]
