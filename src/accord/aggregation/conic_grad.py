"""A cone around the mean gradient, and the direction in it that does most for the worst-off task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.aggregation.preference import PreferenceAggregator
from accord.errors import ConfigurationError
from accord.linalg import conic_weights
from accord.method import Method


class ConicGrad(PreferenceAggregator):
    """Maximise the worst task's improvement over all directions that lean far enough towards the mean gradient.

    ``max_d min_i <g_i, d>`` subject to ``cos(g_0, d) >= c`` and ``|d| = |g_0|``, with ``g_0 = sum_i p_i g_i``. The cone
    keeps the step a descent of the mean loss, to whose stationary points it converges; within it, direction and length
    are decided apart, unlike CAGrad's, whose ball ties the two together. Conflict is made smaller and not excluded. As
    ``c`` nears 1 it averages.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, non-negative. Cost O(T^3) times about five.

    Args:
        c: cosine of the cone's half angle, between 0 and 1: 0.5 is 60 degrees.
        preference: ``[T]`` relative importances ``p`` of the tasks in ``g_0``; equal if ``None``.

    Source: Hassanpour et al., Fantastic Multi-Task Gradient Updates and How to Find Them In a Cone, 2025. No code of
    the authors' is public whose default ``c`` could be taken. The paper goes by a closed form for the dual, with the
    inverse of a ``[P, P]`` matrix, and normalises; here the problem is solved on the Gramian, and exactly at any scale.
    Where gradients balance each other while their mean is not 0, the best worst gain is 0, and a direction that has it
    is taken. A task with a gradient of 0 gains from no direction; the others decide.
    """

    method: ClassVar[Method] = Method(
        title="ConicGrad",
        paper="Fantastic Multi-Task Gradient Updates and How to Find Them In a Cone",
        year=2025,
        url="https://arxiv.org/abs/2502.00217",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
    )

    def __init__(self, c: float = 0.5, preference: Sequence[float] | Tensor | None = None) -> None:
        if not 0.0 < c < 1.0:
            raise ConfigurationError(f"c must lie between 0 and 1, 0.5 for a half angle of 60 degrees; got {c}")
        super().__init__(preference)
        self.c = c

    def solve(self, gramian: Tensor, preference: Tensor) -> Tensor:
        return torch.from_numpy(conic_weights(gramian.numpy(), preference.numpy(), self.c))

    def extra_repr(self) -> str:
        return f"c={self.c}"
