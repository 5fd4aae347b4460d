"""Conflict-averse gradients: near the mean gradient, but with the worst-off task in mind."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.aggregation.preference import PreferenceAggregator
from accord.errors import ConfigurationError
from accord.linalg import conflict_averse_weights
from accord.method import Method


class CAGrad(PreferenceAggregator):
    """Maximise the worst task's improvement within a ball around the mean gradient.

    ``max_d min_i <g_i, d>`` subject to ``|d - g_0| <= c |g_0|`` with ``g_0 = sum_i p_i g_i``; its solution is
    ``d = g_0 + c |g_0| / |g_w| g_w`` for the ``w`` on the simplex that minimises ``<g_w, g_0> + c |g_0| |g_w|``. With
    ``c = 0`` it averages; as ``c`` grows the direction tends to MGDA's. With ``c < 1`` it converges to a stationary
    point of the mean loss, and the ball keeps ``d`` within ``1 - c`` and ``1 + c`` times the length of ``g_0``, so
    conflict is made smaller and not excluded.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, non-negative. Cost O(T^3) times about five.

    Args:
        c: size of the ball, 0 or more; the paper uses 0.2 to 0.5 (0.5 here).
        preference: ``[T]`` relative importances ``p`` of the tasks in ``g_0``; equal if ``None``.

    Source: Liu et al., Conflict-Averse Gradient Descent for Multi-task Learning, 2021. Divided by ``1 + c``, as the
    authors' code does in one of its modes, so that tasks in agreement give back their gradient. The authors' code and
    its ports minimise in ``w`` with a general solver after adding a small constant to the norms, or treat gradients
    below a fixed norm as 0; here the optimum is exact at any scale. A task with a gradient of 0 gains
    from no direction; the others decide (peers return 0 and training stops).
    """

    method: ClassVar[Method] = Method(
        title="CAGrad",
        paper="Conflict-Averse Gradient Descent for Multi-task Learning",
        year=2021,
        url="https://arxiv.org/abs/2110.14048",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
    )

    def __init__(self, c: float = 0.5, preference: Sequence[float] | Tensor | None = None) -> None:
        if not 0.0 <= c < math.inf:
            raise ConfigurationError(f"c must be a finite number of at least 0, the paper's 0.5 for one; got {c}")
        super().__init__(preference)
        self.c = c

    def solve(self, gramian: Tensor, preference: Tensor) -> Tensor:
        extra = conflict_averse_weights(gramian.numpy(), preference.numpy(), self.c)
        return (preference + torch.from_numpy(extra)) / (1.0 + self.c)

    def extra_repr(self) -> str:
        return f"c={self.c}"
