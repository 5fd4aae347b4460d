"""Fair resource allocation between tasks: from the average over proportional to max-min fairness."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.balancer import StatelessGramianAggregator
from accord.errors import ConfigurationError
from accord.linalg import bargain, normalise, precision
from accord.linalg.bargaining import pull_at
from accord.method import Method


class FairGrad(StatelessGramianAggregator):
    """Maximise the tasks' alpha-fair utility of their gains: ``sum_i <g_i, d>^(1 - alpha) / (1 - alpha)`` in a ball.

    With Gramian ``G`` the weights solve ``G w = w^(-1 / alpha)``, ``w > 0``, so that ``w_i = <g_i, d>^-alpha``: a task
    that gains little weighs more. ``alpha = 1`` is proportional fairness, Nash-MTL's bargain; as ``alpha`` grows the
    least gain decides, and as it tends to 0 the direction tends to that of the mean, as near as no task loses.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, non-negative. Cost O(T^3) times about ten.

    Args:
        alpha: above 0; the paper uses 1 and 2 for the most part.

    Scale: the length of ``J' w`` goes with a power of the gradients, ``(1 - alpha) / (1 + alpha)``, and is ``sqrt(T)``
    whatever they are for ``alpha = 1``. The weights are scaled so that the update is as long as the mean gradient norm,
    as under :class:`~accord.aggregation.NashMTL`.

    Source: Ban and Ji, Fair Resource Allocation in Multi-Task Learning, 2024. The authors' code and its ports ask a
    general least-squares solver, which stalls once gradients are dependent or below about 1e-3; here the weights are
    the minimum of a strictly convex function, found to rounding at any scale. Where gradients balance each other no
    task can gain, and the update is 0 up to rounding. A zero gradient has nothing to gain and gets weight 0. Heads
    descend the mean loss, as in the authors' code (a peer weights their losses too); its scripts take ``alpha`` 2, and
    it clips the trunk's gradient at length 1.
    """

    method: ClassVar[Method] = Method(
        title="FairGrad",
        paper="Fair Resource Allocation in Multi-Task Learning",
        year=2024,
        url="https://arxiv.org/abs/2402.15638",
        needs="gramian",
        cost="T backwards + O(T^2 P + T^3)",
    )

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        if not 0.0 < alpha < math.inf:
            raise ConfigurationError(f"alpha must be a finite number above 0, the paper's 1 for one; got {alpha}")
        self.alpha = alpha

    def solve(self, gramian: Tensor) -> Tensor:
        cosines, norms = normalise(gramian.numpy())
        seats = norms > 0
        length = norms.mean()
        # With w = b / n the equation reads K b = n^(1 / alpha - 1) b^(-1 / alpha).
        used, share = norms[seats] / length, 1.0 / self.alpha
        powers = (share - 1.0) * np.log(used)
        solution = bargain(cosines[np.ix_(seats, seats)], powers, share, precision(gramian.numpy()))
        weights = np.zeros_like(norms)
        # The equation itself says how long J'w is: no cancellation where gradients balance each other.
        weights[seats] = solution / used / np.sqrt(solution @ pull_at(solution, powers, share))
        return torch.from_numpy(weights)

    def extra_repr(self) -> str:
        return f"alpha={self.alpha}"
