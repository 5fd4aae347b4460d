"""Upper confidence bounds on means that stay as they are."""

from __future__ import annotations

from typing import ClassVar

from accord.method import Method
from accord.sampling.upper_confidence import UpperConfidence


class UCB(UpperConfidence):
    """Choose the task with the highest upper confidence bound on its mean reward: ``mean_k + sqrt(2 ln n / n_k)``.

    For rewards in [0, 1] with fixed means, ``D_k`` below the best, the expected regret after n draws is at most
    ``8 sum ln n / D_k + (1 + pi^2 / 3) sum D_k``, a logarithm. Every task is tried first. Nothing is random, and as
    means are of all time, it is slow to notice that they change: see :class:`~accord.sampling.DiscountedUCB`.

    Shapes: rows ``[T]``, of one task. Cost O(T).

    Args:
        tasks: T.
        seed: unused by the choice; part of every sampler's state.

    Source: Auer, Cesa-Bianchi and Fischer, Finite-time Analysis of the Multiarmed Bandit Problem, 2002 (UCB1).
    """

    method: ClassVar[Method] = Method(
        title="UCB1",
        paper="Finite-time Analysis of the Multiarmed Bandit Problem",
        year=2002,
        url="https://doi.org/10.1023/A:1013689704352",
        needs="rewards",
        cost="O(T)",
        catalogue=(188,),
    )

    def __init__(self, tasks: int, seed: int = 0) -> None:
        super().__init__(tasks, discount=1.0, width=2.0, seed=seed)
