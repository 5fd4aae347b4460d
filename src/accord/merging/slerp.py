"""Interpolation along the arc between two models."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from accord.errors import ConfigurationError
from accord.merging.combination import Array, Combination, GramianSurvey
from accord.merging.survey import Survey
from accord.method import Method

# Beyond this cosine an arc and its chord are the same to within a ten-thousandth, and the sine divides badly.
STRAIGHT = 0.9995


class SLERP(Combination):
    """Move from one model to another along the arc between them, tensor by tensor.

    ``sin((1 - t) omega) / sin(omega) a + sin(t omega) / sin(omega) b`` with ``omega`` the angle between the flattened
    tensors, whose lengths are left as they are. Straight interpolation takes its place where the tensors are almost
    parallel or opposed (absolute cosine above 0.9995), or one is zero or not finite.

    Takes two models; or a base, which is then the first end, and one model. Cost: two passes, the first for angles.

    Args:
        t: 0 is the first end and 1 the second, both bit for bit.

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
        if not 0.0 <= t <= 1.0:
            raise ConfigurationError(f"t must be between 0 (the first end) and 1 (the second); got {t}")
        self.t = t

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return None if self.t in (0.0, 1.0) else GramianSurvey(models, "all" if based else "models")

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        first, second = (1.0 - self.t, self.t) if gramian is None else arc(gramian, self.t)
        return [first, second] if based else [0.0, first, second]


def arc(gramian: Array, t: float) -> tuple[float, float]:
    """Return the two coefficients of spherical interpolation from the Gramian ``[2, 2]`` of the ends."""
    lengths = math.sqrt(float(gramian[0, 0]) * float(gramian[1, 1]))
    cosine = float(gramian[0, 1]) / lengths if 0.0 < lengths < math.inf else 1.0
    if not abs(cosine) <= STRAIGHT:
        return 1.0 - t, t
    angle = math.acos(cosine)
    return math.sin((1.0 - t) * angle) / math.sin(angle), math.sin(t * angle) / math.sin(angle)
