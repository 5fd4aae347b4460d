"""Multi-objective gradient with double sampling."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from accord.aggregation.double_sampling import DoubleSampling
from accord.errors import ConfigurationError
from accord.linalg import nearest_on_simplex
from accord.method import Method


class MoDo(DoubleSampling):
    """Move the weights a step towards the shortest mixture of the gradients, along an unbiased estimate of the slope.

    With the Jacobians ``J_1`` and ``J_2`` of two independent mini-batches over all tasks: ``w = nearest on the simplex
    to w - gamma (J_1 J_2' / s + rho I) w``, and the direction is ``(J_1 + J_2)' w / 2``; of three, ``J_3' w``. Here
    ``s`` is the mean gradient's squared length over the steps so far. MGDA on one batch shortens its noise along with
    the gradients; two batches have no noise in common. Small ``gamma`` stays near the average, and generalises as it
    does; large ``gamma`` avoids conflict.

    Pass the losses batch by batch, two batches or the halves of one::

        balancer = MoDo(tasks=2)
        accord.backward([a_first, b_first, a_second, b_second], shared=params, balancer=balancer)

    Heads then descend the mean over both batches. With one batch only, ``T`` losses, ``J_2`` is ``J_1`` and the slope
    is biased: this is what ``accord fit`` has to offer.

    Shapes: Jacobian ``[B T, P]`` -> ``[P]``, Gramian ``[B T, B T]`` -> ``[B T]``, non-negative, summing to 1, for
    ``B`` of 1, 2 or 3 batches. State: ``w`` ``[T]``. Cost O(T^2) after the Gramian; on halves of a batch, gradients
    cost about what they do on all of it.

    Args:
        tasks: T; ``None`` if there is only ever one batch.
        gamma: above 0, the step of the weights.
        rho: 0 or more, a pull towards equal weights.

    Source: Chen, Fernando et al., Three-Way Trade-Off in Multi-Objective Learning: Optimization, Generalization and
    Conflict-Avoidance, 2023 (gamma and rho 0.1, the defaults of the authors' code, which moves by both batches, as the
    paper does; LibMTL's, with gamma 0.001, and a later option of the authors' by the third). The paper's ``gamma`` has
    the unit of an inverse squared gradient; here it is a pure number, by ``s``, and multiplying all losses changes no
    weight. A task takes part in the step of the weights if both batches have it, and in the direction if one has.
    """

    method: ClassVar[Method] = Method(
        title="MoDo",
        paper="Three-Way Trade-Off in Multi-Objective Learning: Optimization, Generalization and Conflict-Avoidance",
        year=2023,
        url="https://arxiv.org/abs/2305.20057",
        needs="gramian",
        cost="2 T backwards on halves of a batch + O(T^2 P)",
    )

    def __init__(self, tasks: int | None = None, gamma: float = 0.1, rho: float = 0.1) -> None:
        super().__init__(tasks)
        if not 0.0 < gamma < math.inf:
            raise ConfigurationError(f"gamma must be a finite number above 0, 0.1 for one; got {gamma}")
        if not 0.0 <= rho < math.inf:
            raise ConfigurationError(f"rho must be a finite number of at least 0, 0.1 for one; got {rho}")
        self.gamma = gamma
        self.rho = rho

    def step(self, shares: np.ndarray, products: np.ndarray, kept: np.ndarray) -> np.ndarray:
        return nearest_on_simplex(shares - self.gamma * (products @ shares + self.rho * shares))

    def mix(self, shares: np.ndarray, kept: np.ndarray) -> np.ndarray:
        return shares

    def extra_repr(self) -> str:
        return f"tasks={self.tasks}, gamma={self.gamma}, rho={self.rho}"
