"""A set of solutions that descend together and keep apart on the front."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from accord.balancer import gramian_of
from accord.errors import ConfigurationError, DataError
from accord.linalg import min_norm_weights
from accord.method import Method


class MOOSVGD(nn.Module):
    """Multi-objective Stein variational gradient descent: MGDA's directions shared by a kernel, and repulsion.

    With ``F_i`` ``[m]`` the objectives of solution ``i``, ``J_i`` their gradients, ``g_i`` the shortest convex mixture
    of these, and ``k_ij = exp(-|F_i - F_j|^2 / h)``, a step subtracts a multiple of::

        (1 / K) sum_j [ k_ij g_j - repulsion (2 / h) k_ij J_i.T @ (F_i - F_j) ]

    The first part takes solutions to the front, those with similar objectives together; the second one keeps their
    objectives apart. ``h`` is the median of ``|F_i - F_j|^2`` over pairs, divided by ``log K``, in every step.

    Shapes: Jacobians ``[K, m, P]``, objectives ``[K, m]`` -> directions ``[K, P]``. Cost O(K m^2 P + K^2 P), after
    ``m`` backwards per solution.

    Args:
        repulsion: 0 or more, in units of objective times parameter.

    Raises:
        ConfigurationError: repulsion is negative.
        DataError: the shapes do not fit, or a number is not finite.

    Source: Liu, Tong and Liu, Profiling Pareto Front With Multi-Objective Stein Variational Gradient Descent, 2021. As
    in the authors' code, the kernel's gradient is taken through the solution that moves, which pushes its objectives
    away from the others'; the formula's, through the others, does so only where all have the same Jacobian. The kernel
    is the formula's; there its bandwidth is multiplied by what it should be divided by. Directions ``g_j`` are added up
    across solutions, which supposes that their parameters mean the same: networks should start from one another.
    """

    method: ClassVar[Method] = Method(
        title="MOO-SVGD",
        paper="Profiling Pareto Front With Multi-Objective Stein Variational Gradient Descent",
        year=2021,
        url="https://openreview.net/forum?id=S2-j0ZegyrE",
        needs="jacobian",
        cost="m backwards per solution + O(K m^2 P + K^2 P) for K solutions",
    )

    def __init__(self, repulsion: float = 1.0) -> None:
        super().__init__()
        if not 0.0 <= repulsion < float("inf"):
            raise ConfigurationError(f"repulsion must be a finite number of at least 0; got {repulsion}")
        self.repulsion = repulsion

    def forward(self, jacobians: Tensor, objectives: Tensor) -> Tensor:
        if jacobians.ndim != 3 or jacobians.shape[:2] != objectives.shape:
            raise DataError(
                "MOOSVGD takes Jacobians [K, m, P] and objectives [K, m]; "
                f"got {list(jacobians.shape)} and {list(objectives.shape)}"
            )
        if not bool(jacobians.isfinite().all() and objectives.isfinite().all()):
            raise DataError("a gradient or an objective is not finite; leave that solution out of the step")
        kernel, width = _kernel(objectives)
        descent = torch.stack([_shortest(rows) for rows in jacobians])
        gaps = objectives[:, None] - objectives
        push = (2 / width) * torch.einsum("ij,ijm->im", kernel, gaps)
        apart = torch.einsum("im,imp->ip", push, jacobians)
        return (kernel @ descent - self.repulsion * apart) / len(objectives)

    def extra_repr(self) -> str:
        return f"repulsion={self.repulsion}"


def _kernel(objectives: Tensor) -> tuple[Tensor, float]:
    """Return the kernel ``[K, K]`` and its bandwidth (infinite where all objectives are alike)."""
    count = len(objectives)
    squares = (objectives[:, None] - objectives).square().sum(dim=-1)
    pairs = squares[torch.triu_indices(count, count, 1).unbind()]
    width = float(np.median(pairs.cpu().numpy())) / math.log(count) if count > 1 else 0.0
    width = width if width > 0 else float("inf")
    return torch.exp(-squares / width), width


def _shortest(rows: Tensor) -> Tensor:
    gramian = gramian_of(rows.double()).cpu().numpy()
    return torch.from_numpy(min_norm_weights(gramian)).to(rows) @ rows
