"""Affinities that a single look decides: the last one."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from accord.grouping.affinity import Affinity, Evidence


class Latest(Affinity):
    """An affinity of one look at the tasks; what is observed later replaces what was observed before."""

    found: Tensor

    def __init__(self, tasks: int) -> None:
        super().__init__(tasks)
        self.register_buffer("found", torch.full((tasks, tasks), torch.nan, dtype=torch.float64))

    @abstractmethod
    def compare(self, evidence: Evidence) -> Tensor:
        """Return the matrix ``[T, T]`` of this evidence."""

    def learn(self, evidence: Evidence) -> None:
        self.found.copy_(self.compare(evidence))

    def matrix(self) -> Tensor:
        if bool(self.found.isnan().all()):
            raise self.unseen()
        return self.found.clone()
