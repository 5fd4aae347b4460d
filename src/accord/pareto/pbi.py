"""Distance along the preference and away from it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.pareto.scalarisation import Scalarisation


class PBIScalarisation(Scalarisation):
    """Penalised boundary intersection: ``d1 + theta d2``, along the preference's ray and away from it.

    With ``u = w / |w|``: ``d1 = <f, u>`` and ``d2 = |f - d1 u|``. The solution lies on the ray, ``f`` in proportion to
    ``w``, for a ``theta`` that is large enough.

    Args:
        theta: 0 or more; the paper uses 5.

    Source: Zhang and Li, MOEA/D: A Multiobjective Evolutionary Algorithm Based on Decomposition, 2007.
    """

    method: ClassVar[Method] = Method(
        title="PBI",
        paper="MOEA/D: A Multiobjective Evolutionary Algorithm Based on Decomposition",
        year=2007,
        url="https://doi.org/10.1109/TEVC.2007.892759",
        needs="losses",
        cost="one backward",
    )

    def __init__(self, theta: float = 5.0) -> None:
        super().__init__()
        if not 0.0 <= theta < float("inf"):
            raise ConfigurationError(f"theta must be a finite number of at least 0, the paper's 5 for one; got {theta}")
        self.theta = theta

    def forward(self, objectives: Tensor, preference: Tensor) -> Tensor:
        ray = preference / torch.linalg.vector_norm(preference, dim=-1, keepdim=True)
        along = (objectives * ray).sum(dim=-1)
        away = torch.linalg.vector_norm(objectives - along[..., None] * ray, dim=-1)
        return along + self.theta * away

    def extra_repr(self) -> str:
        return f"theta={self.theta}"
