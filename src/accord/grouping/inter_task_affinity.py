"""TAG: a task helps another if its step lowers the other's loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.grouping.affinity import Affinity, Evidence
from accord.method import Method


class InterTaskAffinity(Affinity):
    """Mean relative fall of loss j after a step of task i alone on the shared weights.

    ``A_ij = mean_t (1 - L_j(after i's step) / L_j(before))``; 0 is neutral, 0.01 says that i's steps lower j's loss by
    1 per cent, below 0 they raise it. The two directions differ: who helps need not be helped::

        affinity = accord.grouping.InterTaskAffinity(tasks=3)
        before, after = accord.grouping.lookahead(losses, shared)   # every now and then through training
        affinity.observe(before=before, after=after)

    Moments at which ``L_j`` is missing, or not above 0, do not count for it.

    Shapes: ``before [T]``, ``after [T, T]`` in, ``[T, T]`` out. Cost: T backwards and T + 1 forwards per moment.

    Source: Fifty et al., Efficiently Identifying Task Groupings for Multi-Task Learning, 2021; Zhuang et al., MAS,
    2023, split by the same matrix.
    """

    method: ClassVar[Method] = Method(
        title="TAG",
        paper="Efficiently Identifying Task Groupings for Multi-Task Learning",
        year=2021,
        url="https://arxiv.org/abs/2109.04617",
        needs="parameters",
        cost="T backwards, T + 1 forwards per moment",
        catalogue=(43,),
    )
    hears = ("before", "after")
    total: Tensor
    count: Tensor

    def __init__(self, tasks: int) -> None:
        super().__init__(tasks)
        self.register_buffer("total", torch.zeros(tasks, tasks, dtype=torch.float64))
        self.register_buffer("count", torch.zeros(tasks, tasks, dtype=torch.float64))

    def learn(self, evidence: Evidence) -> None:
        assert evidence.before is not None and evidence.after is not None
        before = torch.where(evidence.before > 0, evidence.before, torch.nan)
        fall = 1 - evidence.after / before
        known = fall.isfinite()
        self.total += torch.where(known, fall, 0.0)
        self.count += known

    def matrix(self) -> Tensor:
        if not self.count.any():
            raise self.unseen()
        return torch.where(self.count > 0, self.total / self.count, torch.nan)
