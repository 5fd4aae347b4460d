"""Exp3.S: exponential weights that can change their mind."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.exp3 import check_horizon, tuned
from accord.sampling.exponential_weights import ExponentialWeights


class Exp3S(ExponentialWeights):
    """Exp3 that keeps every task within reach, for rewards whose best task changes.

    As :class:`~accord.sampling.Exp3`, and every update gives each weight a part of all others:
    ``w_k <- w_k exp(g (r / p_k) / T) + (e a / T) sum_i w_i`` with ``a = 1 / horizon``. For rewards in [0, 1] the
    expected regret against the best sequence of tasks with at most ``switches`` changes is at most
    ``2 sqrt(e - 1) sqrt(T horizon ((switches + 1) ln(T horizon) + e))``.

    Shapes: rows ``[T]``, of one task. Cost O(T).

    Args:
        tasks: T.
        horizon: draws for which it is tuned.
        switches: how often the best task may change, 0 or more.
        seed: of the draws.

    Source: Auer, Cesa-Bianchi, Freund and Schapire, The Nonstochastic Multiarmed Bandit Problem, 2002 (section 8 and
    corollary 8.2).
    """

    method: ClassVar[Method] = Method(
        title="Exp3.S",
        paper="The Nonstochastic Multiarmed Bandit Problem",
        year=2002,
        url="https://doi.org/10.1137/S0097539701398375",
        needs="rewards",
        cost="O(T)",
        catalogue=(188,),
    )
    scores: Tensor

    def __init__(self, tasks: int, horizon: int = 10_000, switches: int = 4, seed: int = 0) -> None:
        check_horizon(horizon)
        if switches < 0:
            raise ConfigurationError(f"switches is how often the best task changes, 0 or more; got {switches}")
        complexity = (switches + 1) * math.log(max(tasks * horizon, 2)) + math.e
        super().__init__(tasks, tuned(tasks, horizon, complexity), seed)
        self.share = 1.0 / horizon

    def reward(self, rewards: np.ndarray, heard: np.ndarray) -> None:
        scores = self.scores.numpy()
        floor = math.log(math.e * self.share / self.tasks) + np.logaddexp.reduce(scores)
        scores += self.explore * self.estimates(rewards, heard) / self.tasks
        np.logaddexp(scores, floor, out=scores)
        scores -= scores.max()
