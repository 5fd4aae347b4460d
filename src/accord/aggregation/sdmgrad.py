"""Stochastic direction-oriented multi-objective gradient descent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.double_sampling import DoubleSampling
from accord.aggregation.preference import checked_preference
from accord.errors import ConfigurationError
from accord.linalg import nearest_on_simplex
from accord.method import Method


class SDMGrad(DoubleSampling):
    """Find the direction that helps the worst-off task, held near the mean gradient, from independent mini-batches.

    The target is ``max_d min_i <g_i, d> - |d|^2 / 2 + lam <g_0, d>`` with ``g_0 = sum_i p_i g_i``, whose solution is
    ``d = sum_i w_i g_i + lam g_0`` for the ``w`` on the simplex that makes it shortest. With the Jacobians ``J_1``,
    ``J_2`` of two independent mini-batches, ``iterations`` times: ``v = momentum v + J_1 J_2' (w + lam p)``, ``w =
    nearest on the simplex to w - step v / L`` with ``L`` the largest singular value of ``J_1 J_2'``; then ``d / (1 +
    lam)``, with the gradients of both batches, or of a third one. ``w`` goes on from step to step. With ``lam = 0`` it
    tends to MGDA, with a large one to averaging.

    Pass the losses batch by batch, two or three batches or the halves of one::

        balancer = SDMGrad(tasks=2)
        accord.backward([a_first, b_first, a_second, b_second], shared=params, balancer=balancer)

    Heads then descend the mean over the batches. With one batch only, ``T`` losses, it plays all parts and the steps of
    ``w`` are biased: this is what ``accord fit`` has to offer.

    Shapes: Jacobian ``[B T, P]`` -> ``[P]``, Gramian ``[B T, B T]`` -> ``[B T]``, non-negative, summing to 1, for
    ``B`` of 1, 2 or 3 batches. State: ``w`` ``[T]``. Cost O(T^2) per iteration after the Gramian; on halves of a
    batch, gradients cost about what they do on all of it.

    Args:
        tasks: T; ``None`` if there is only ever one batch.
        lam: 0 or more, the pull towards ``g_0``; the paper's lambda.
        iterations: 1 or more, steps of ``w`` per step.
        step: above 0, in units of ``1 / L``.
        momentum: in [0, 1), within a step's iterations.
        preference: ``[T]`` relative importances ``p``; equal if ``None``.

    Source: Xiao, Ban and Ji, Direction-oriented Multi-objective Learning: Simple and Provable Stochastic Algorithms,
    2023 (lambda 0.3, 20 iterations and momentum 0.5, as in the authors' experiments, which take three batches). The
    authors' code steps by 10, and LibMTL's by 5, where gradients have length 1. That is beyond the ``2 (1 + momentum) /
    L`` at which the iteration is stable unless all gradients are nearly parallel: ``w`` then jumps from corner to
    corner of the simplex, and where it is after 20 jumps hangs on rounding. The step here is safe at 1 for any
    gradients. A task takes part in the steps of ``w`` if both batches have it, and in the direction if one has.
    """

    method: ClassVar[Method] = Method(
        title="SDMGrad",
        paper="Direction-oriented Multi-objective Learning: Simple and Provable Stochastic Algorithms",
        year=2023,
        url="https://arxiv.org/abs/2305.18409",
        needs="gramian",
        cost="2 T backwards on halves of a batch + O(T^2 P)",
    )
    preference: Tensor

    def __init__(
        self,
        tasks: int | None = None,
        lam: float = 0.3,
        iterations: int = 20,
        step: float = 1.0,
        momentum: float = 0.5,
        preference: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__(tasks)
        if not 0.0 <= lam < math.inf:
            raise ConfigurationError(f"lam must be a finite number of at least 0, 0.3 for one; got {lam}")
        if iterations < 1:
            raise ConfigurationError(f"iterations must be at least 1, 20 for one; got {iterations}")
        if not 0.0 < step < math.inf:
            raise ConfigurationError(f"step must be a finite number above 0, 1 for one; got {step}")
        if not 0.0 <= momentum < 1.0:
            raise ConfigurationError(f"momentum must lie in [0, 1), 0.5 for one; got {momentum}")
        self.lam, self.iterations, self.rate, self.momentum = lam, iterations, step, momentum
        self.register_buffer("preference", checked_preference(preference))

    def step(self, shares: np.ndarray, products: np.ndarray, kept: np.ndarray) -> np.ndarray:
        largest = np.linalg.norm(products, 2)
        if not largest > 0:
            return shares
        towards = self.lam * (products @ self._over(kept))
        velocity = np.zeros_like(shares)
        for _ in range(self.iterations):
            velocity = self.momentum * velocity + products @ shares + towards
            shares = nearest_on_simplex(shares - self.rate / largest * velocity)
        return shares

    def mix(self, shares: np.ndarray, kept: np.ndarray) -> np.ndarray:
        return (shares + self.lam * self._over(kept)) / (1.0 + self.lam)

    def _over(self, kept: np.ndarray) -> np.ndarray:
        tasks = len(self.shares)
        preference = self.preference.cpu() if self.preference.numel() else torch.ones(tasks, dtype=torch.float64)
        if len(preference) != tasks:
            raise ConfigurationError(
                f"the preference has {len(preference)} entries but there are {tasks} tasks; give one per task"
            )
        part = preference.numpy()[kept]
        return part / part.sum() if part.any() else np.full(len(part), 1.0 / len(part))

    def extra_repr(self) -> str:
        return (
            f"tasks={self.tasks}, lam={self.lam}, iterations={self.iterations}, step={self.rate}, "
            f"momentum={self.momentum}"
        )
