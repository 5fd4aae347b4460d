"""Exp3: exponential weights for rewards that an adversary may choose."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.exponential_weights import ExponentialWeights


class Exp3(ExponentialWeights):
    """Draw tasks by exponential weights of their estimated rewards, with a share of uniform draws.

    ``p_k = (1 - g) w_k / sum w + g / T``; after reward ``r`` of task ``k``, ``w_k <- w_k exp(g (r / p_k) / T)``. For
    any rewards in [0, 1] the expected regret against the best single task after ``horizon`` draws is at most
    ``2 sqrt(e - 1) sqrt(horizon T ln T)``.

    Shapes: rows ``[T]``, of one task. Cost O(T).

    Args:
        tasks: T.
        horizon: draws for which the exploration is tuned, ``g = min(1, sqrt(T ln T / ((e - 1) horizon)))``.
        seed: of the draws.

    Source: Auer, Cesa-Bianchi, Freund and Schapire, The Nonstochastic Multiarmed Bandit Problem, 2002 (section 3).
    """

    method: ClassVar[Method] = Method(
        title="Exp3",
        paper="The Nonstochastic Multiarmed Bandit Problem",
        year=2002,
        url="https://doi.org/10.1137/S0097539701398375",
        needs="rewards",
        cost="O(T)",
        catalogue=(188,),
    )
    scores: Tensor

    def __init__(self, tasks: int, horizon: int = 10_000, seed: int = 0) -> None:
        check_horizon(horizon)
        super().__init__(tasks, tuned(tasks, horizon, math.log(max(tasks, 2))), seed)

    def reward(self, rewards: np.ndarray, heard: np.ndarray) -> None:
        scores = self.scores.numpy()
        scores += self.explore * self.estimates(rewards, heard) / self.tasks
        scores -= scores.max()


def tuned(tasks: int, horizon: int, complexity: float) -> float:
    """Return the exploration ``min(1, sqrt(T complexity / ((e - 1) horizon)))``."""
    return min(1.0, math.sqrt(tasks * complexity / ((math.e - 1.0) * horizon)))


def check_horizon(horizon: int) -> None:
    """Raise a :class:`ConfigurationError` unless ``horizon`` is a number of draws."""
    if horizon < 1:
        raise ConfigurationError(f"horizon is the number of draws to come, at least 1; got {horizon}")
