"""The weighted sum of the objectives."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from accord.method import Method
from accord.pareto.scalarisation import Scalarisation


class LinearScalarisation(Scalarisation):
    """``sum_i w_i f_i``: every solution is Pareto optimal, and those on concave parts of a front are out of reach.

    Source: Zadeh, Optimality and Non-Scalar-Valued Performance Criteria, 1963.
    """

    method: ClassVar[Method] = Method(
        title="Linear scalarisation",
        paper="Optimality and Non-Scalar-Valued Performance Criteria",
        year=1963,
        url="https://doi.org/10.1109/TAC.1963.1105511",
        needs="losses",
        cost="one backward",
    )

    def forward(self, objectives: Tensor, preference: Tensor) -> Tensor:
        return (preference * objectives).sum(dim=-1)
