"""The worst of the weighted objectives."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from accord.method import Method
from accord.pareto.scalarisation import Scalarisation, weighted


class TchebycheffScalarisation(Scalarisation):
    """``max_i w_i f_i``, or ``max_i f_i / w_i``: reaches every Pareto optimal point, concave parts included.

    Args:
        inverse: divide by the preference, so that the solution lies on the preference's own ray, ``f`` in proportion to
            ``w``; else on the ray ``f_i`` in proportion to ``1 / w_i``, on which a larger ``w_i`` asks for less of it.

    Source: Bowman, On the Relationship of the Tchebycheff Norm and the Efficient Frontier, 1976. Only the largest term
    has a gradient, so a step helps one objective; see :class:`SmoothTchebycheffScalarisation`.
    """

    method: ClassVar[Method] = Method(
        title="Tchebycheff scalarisation",
        paper="On the Relationship of the Tchebycheff Norm and the Efficient Frontier of Multiple-Criteria Objectives",
        year=1976,
        url="https://doi.org/10.1007/978-3-642-87563-2_5",
        needs="losses",
        cost="one backward",
    )

    def __init__(self, inverse: bool = False) -> None:
        super().__init__()
        self.inverse = inverse

    def forward(self, objectives: Tensor, preference: Tensor) -> Tensor:
        return weighted(objectives, preference, self.inverse).amax(dim=-1)

    def extra_repr(self) -> str:
        return f"inverse={self.inverse}"
