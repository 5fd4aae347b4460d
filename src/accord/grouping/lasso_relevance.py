"""The few source tasks from which a target task's readout can be put together."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.grouping.affinity import Evidence
from accord.grouping.latest import Latest
from accord.linalg.lasso import sweep
from accord.method import Method


class LassoRelevance(Latest):
    """How much of a task's readout the Lasso takes from each other task.

    With ``w_j`` the linear readout of task j from a common encoder, scaled to length 1, and the others' in ``W``:
    ``nu = argmin 1/2 ||W nu - w_j||^2 + penalty max|W' w_j| ||nu||_1`` and ``A_ij = |nu_i|``: sparse, not the same in
    both directions, 0 (neutral) for tasks that are left out. The sign is dropped: a readout that is another's opposite
    needs the same features. A task without readout (zero, or not finite) is NaN in its row and column.

    Shapes: ``heads [T, D]``. Cost: O(T^2 D + T^3) per sweep of coordinate descent, after one joint model.

    Args:
        tasks: T.
        penalty: 0 or more; from 1 on everything is left out.

    Source: Wang et al., Improved Active Multi-Task Representation Learning via Lasso, 2023, whose relevance nu^1 is the
    limit of penalty 0 with fewest rows to label. There sampling follows ``|nu|`` and encoder and relevance are
    estimated in turns; here the encoder is that of the joint model, which all labelled rows have trained already.
    """

    method: ClassVar[Method] = Method(
        title="Lasso relevance",
        paper="Improved Active Multi-Task Representation Learning via Lasso",
        year=2023,
        url="https://arxiv.org/abs/2306.02556",
        needs="parameters",
        cost="one joint model + O(T^3)",
        catalogue=(195,),
    )
    hears = ("heads",)

    def __init__(self, tasks: int, penalty: float = 0.1) -> None:
        super().__init__(tasks)
        if not penalty >= 0:
            raise ConfigurationError(f"penalty must be 0 or more, not {penalty!r}")
        self.penalty = penalty

    def compare(self, evidence: Evidence) -> Tensor:
        assert evidence.heads is not None
        lengths = evidence.heads.norm(dim=1)
        usable = (lengths.isfinite() & (lengths > 0)).nonzero().flatten()
        found = torch.full((self.tasks, self.tasks), torch.nan, dtype=torch.float64)
        if len(usable) < 2:
            return found
        heads = evidence.heads[usable] / lengths[usable, None]
        inner = heads @ heads.T
        relevance = torch.zeros_like(inner)
        for j in range(len(usable)):
            others = torch.tensor([i for i in range(len(usable)) if i != j])
            relevance[others, j] = lasso(inner[others][:, others], inner[others, j], self.penalty).abs()
        relevance.fill_diagonal_(1.0)
        found[usable[:, None], usable] = relevance
        return found


def lasso(gram: Tensor, target: Tensor, penalty: float, *, sweeps: int = 10_000, tolerance: float = 1e-10) -> Tensor:
    """Minimise ``1/2 nu' gram nu - target' nu + penalty max|target| sum |nu|`` by coordinate descent.

    Args:
        gram: ``[n, n]`` positive semidefinite with a diagonal above 0.
        target: ``[n]``.
        penalty: relative to the least one that leaves nothing.
        sweeps: passes over all coordinates at most; where two columns agree, the first of them takes all.
        tolerance: on the change of any coordinate in one sweep.
    """
    level = penalty * float(target.abs().max())
    slopes = target.numpy()[:, None].copy()
    nu = np.zeros_like(slopes)
    for _ in range(sweeps):
        if sweep(gram.numpy(), nu, slopes, level) <= tolerance:
            break
    return torch.from_numpy(nu[:, 0])
