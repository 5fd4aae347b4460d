"""The worst of the weighted objectives, and a little of their sum."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from accord.method import Method
from accord.pareto.scalarisation import Scalarisation, positive, weighted


class AASFScalarisation(Scalarisation):
    """Augmented achievement scalarisation: ``max_i w_i f_i + rho sum_i w_i f_i``.

    Tchebycheff's maximum finds weakly Pareto optimal points too, at which one objective could still be bettered for
    nothing; the sum rules those out.

    Args:
        rho: above 0, small.
        inverse: as in :class:`TchebycheffScalarisation`.

    Source: Wierzbicki, A Mathematical Basis for Satisficing Decision Making, 1982 (rho 0.01 to 1e-6 in practice).
    """

    method: ClassVar[Method] = Method(
        title="AASF",
        paper="A Mathematical Basis for Satisficing Decision Making",
        year=1982,
        url="https://doi.org/10.1016/0270-0255(82)90038-0",
        needs="losses",
        cost="one backward",
    )

    def __init__(self, rho: float = 0.01, inverse: bool = False) -> None:
        super().__init__()
        self.rho, self.inverse = positive("rho", rho), inverse

    def forward(self, objectives: Tensor, preference: Tensor) -> Tensor:
        terms = weighted(objectives, preference, self.inverse)
        return terms.amax(dim=-1) + self.rho * terms.sum(dim=-1)

    def extra_repr(self) -> str:
        return f"rho={self.rho}, inverse={self.inverse}"
