"""Multi-objective gradient correction: the shortest common direction of gradients that are tracked in time."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.jacobian_aggregator import JacobianAggregator, Present
from accord.aggregation.remembered import remember
from accord.aggregation.shares import among, fresh_or_kept, moved
from accord.balancer import gramian_of
from accord.errors import ConfigurationError
from accord.linalg import nearest_on_simplex
from accord.method import Method


class MoCo(JacobianAggregator):
    """Track each gradient, and move the weights of the tracked ones a step towards their shortest mixture.

    In step ``k`` with gradients ``g_i``: ``y_i = y_i + b_k (g_i - y_i)`` with ``b_k = beta / k^beta_decay``, at most 1;
    ``w = nearest on the simplex to w - c_k (Y Y' / s + rho I) w`` with ``c_k = gamma / k^gamma_decay`` and ``s`` the
    mean of ``|y_i|^2``; the direction is ``Y' w``. Under noise, MGDA's weights are biased, for they belong to this
    batch's noise; the tracked gradients average it out, and the weights need not be solved for.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``. Cost O(T^2 P). State: ``Y`` ``[T, P]``, as large as the Jacobian, and ``w``.

    Args:
        beta: above 0, how far the tracked gradients follow.
        beta_decay: 0 or more.
        gamma: 0 or more, the step of the weights.
        gamma_decay: 0 or more.
        rho: 0 or more, a pull towards equal weights, in units of ``s``.

    Source: Fernando et al., Mitigating Gradient Bias in Multi-objective Learning: A Provably Convergent Approach, 2023.
    Defaults are those of the code that its authors gave to LibMTL (0.5, 0.5, 0.1, 0.5, 0). That code also brings each
    gradient to the length of its loss, and takes a softmax of the moved weights, which keeps them near equal for good;
    the paper, and a later code of the authors, do neither, and neither do we. The paper's ``gamma`` has the unit of an
    inverse squared gradient; here it is a pure number, by ``s``, and multiplying all losses changes no weight. ``Y``
    starts from the first gradients (from 0 in the code, so that its first steps are short). Absent tasks keep their
    tracked gradient, and their share of the weight for when they return.
    """

    method: ClassVar[Method] = Method(
        title="MoCo",
        paper="Mitigating Gradient Bias in Multi-objective Learning: A Provably Convergent Approach",
        year=2023,
        url="https://arxiv.org/abs/2210.12624",
        needs="jacobian",
        cost="T backwards + O(T^2 P), and T P numbers of state",
    )
    tracked: Tensor
    steps: Tensor
    shares: Tensor

    def __init__(
        self,
        beta: float = 0.5,
        beta_decay: float = 0.5,
        gamma: float = 0.1,
        gamma_decay: float = 0.5,
        rho: float = 0.0,
    ) -> None:
        super().__init__()
        options = {"beta_decay": beta_decay, "gamma": gamma, "gamma_decay": gamma_decay, "rho": rho}
        for name, value in options.items():
            if not 0.0 <= value < math.inf:
                raise ConfigurationError(f"{name} must be a finite number of at least 0; got {value}")
        if not 0.0 < beta < math.inf:
            raise ConfigurationError(f"beta must be a finite number above 0, 0.5 for one; got {beta}")
        self.beta, self.beta_decay = beta, beta_decay
        self.gamma, self.gamma_decay, self.rho = gamma, gamma_decay, rho
        self.register_buffer("tracked", torch.zeros(0, 0))
        self.register_buffer("steps", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("shares", torch.zeros(0, dtype=torch.float64))

    def combine(self, rows: Tensor, present: Present) -> Tensor:
        kept, tasks = present.kept, present.tasks
        self.tracked = remember(self.tracked, rows, tasks, "MoCo")
        self.shares = fresh_or_kept(self.shares, tasks, "MoCo")
        if not self.steps.numel():
            self.steps = torch.zeros(tasks, dtype=torch.float64, device=rows.device)
        self.steps[kept] += 1
        number = self.steps[kept]
        follow = torch.where(number > 1, self.beta / number**self.beta_decay, 1.0).clamp(max=1.0).to(rows)[:, None]
        current = (1 - follow) * self.tracked[kept] + follow * rows
        self.tracked[kept] = current
        who = kept.cpu().numpy()
        weights = self._step(among(self.shares, who), current, float(number.max()))
        self.shares = moved(self.shares, who, weights)
        return torch.from_numpy(weights).to(rows) @ current

    def _step(self, weights: np.ndarray, tracked: Tensor, number: float) -> np.ndarray:
        gramian = gramian_of(tracked).to("cpu", torch.float64).numpy()
        unit = np.trace(gramian) / len(gramian)
        if not unit > 0:
            return weights
        slope = gramian @ weights / unit + self.rho * weights
        return nearest_on_simplex(weights - self.gamma / number**self.gamma_decay * slope)

    def extra_repr(self) -> str:
        return (
            f"beta={self.beta}, beta_decay={self.beta_decay}, gamma={self.gamma}, gamma_decay={self.gamma_decay}, "
            f"rho={self.rho}"
        )
