"""A bandit whose rewards are how much a task's training has helped all tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.bandit import Bandit
from accord.sampling.sampler import News, Sampler, rows_of


class InfluenceMatrix(Sampler):
    """Train one task per step, the one whose gradients have lately agreed with all tasks'.

    ``M_ij`` is the mean, over the steps of this period that trained task j, of the cosine between j's gradient and the
    latest gradient of task i: to first order the training of j lowers loss i in proportion. At the end of a period each
    task that was trained has reward ``1 / (1 + exp(-sum_i M_ij))``, which the bandit hears::

        sampler = accord.sampling.InfluenceMatrix(accord.sampling.Exp3(tasks=3, horizon=1000))
        for step in range(1000):
            counts = sampler(64)                    # all 64 rows are of one task
            ...                                     # loss.backward()
            sampler.observe(gradient=torch.cat([p.grad.flatten() for p in shared]))

    Before the bandit is asked, every task is trained once. ``matrix`` is the last period's M.

    Shapes: rows ``[T]``, of one task; gradients ``[P]``. Cost O(T P) per step and memory O(T P).

    Args:
        bandit: any :class:`~accord.sampling.bandit.Bandit` with rewards in [0, 1].
        period: steps between rewards, at least 1; T by default.

    Source: Wang et al., Efficient Training of Multi-task Neural Solver for Combinatorial Optimization, 2025 (preprint
    of 2023: "... with Multi-armed Bandits"; Exp3 and discounted Thompson sampling do best there). The paper also
    compares the decoders of tasks of one kind; here gradients are those of the shared parameters. The logistic function
    is that of the authors' code. The warm start is one step per task, not an epoch.
    """

    method: ClassVar[Method] = Method(
        title="Influence-matrix bandit",
        paper="Efficient Training of Multi-task Neural Solver for Combinatorial Optimization",
        year=2025,
        url="https://arxiv.org/abs/2305.06361",
        needs="jacobian",
        cost="O(T P)",
        catalogue=(188,),
    )
    hears = ("gradient",)
    task: Tensor
    latest: Tensor
    known: Tensor
    cosines: Tensor
    trained: Tensor
    matrix: Tensor

    def __init__(self, bandit: Bandit, period: int | None = None) -> None:
        super().__init__(bandit.tasks, seed=0)
        if period is not None and period < 1:
            raise ConfigurationError(f"period must be at least 1 step; got {period}")
        tasks = bandit.tasks
        self.bandit = bandit
        self.period = period or tasks
        self.register_buffer("task", torch.tensor(-1))
        self.register_buffer("latest", torch.zeros(tasks, 0))
        self.register_buffer("known", torch.zeros(tasks, dtype=torch.bool))
        self.register_buffer("cosines", torch.zeros(tasks, tasks, dtype=torch.float64))
        self.register_buffer("trained", torch.zeros(tasks, dtype=torch.float64))
        self.register_buffer("matrix", torch.full((tasks, tasks), torch.nan, dtype=torch.float64))
        self.register_load_state_dict_pre_hook(_take_width)

    def forward(self, batch: int | Sequence[int]) -> Tensor:
        unseen = (~self.known).nonzero().flatten()
        if len(unseen):
            counts = torch.zeros(self.tasks, dtype=torch.int64)
            first = int(unseen[0])
            counts[first] = int(rows_of(batch, self.tasks)[first])
        else:
            counts = self.bandit(batch)
        self.task.fill_(int(counts.argmax()))
        return counts

    def learn(self, news: News) -> None:
        assert news.gradient is not None
        task = int(self.task)
        if task < 0:
            raise ConfigurationError("no batch was drawn yet that the gradient could belong to: call the sampler first")
        gradient = news.gradient.flatten()
        length = gradient.norm()
        if not bool(length.isfinite()) or not bool(length > 0):
            return  # a step without direction says nothing of its influence
        if not self.latest.shape[1]:
            self.latest = torch.zeros(self.tasks, len(gradient))
        if len(gradient) != self.latest.shape[1]:
            raise ConfigurationError(
                f"gradients have {self.latest.shape[1]} entries so far; got one of {len(gradient)}. Pass those of the "
                "shared parameters, in the same order every time"
            )
        self.latest[task] = (gradient / length).float()
        self.known[task] = True
        self.cosines[:, task] += (self.latest @ self.latest[task]).double()
        self.trained[task] += 1
        if int(self.trained.sum()) >= self.period and bool(self.known.all()):
            self._settle()

    def _settle(self) -> None:
        """Hand the bandit this period's rewards and begin the next one."""
        self.matrix.copy_(torch.where(self.trained > 0, self.cosines / self.trained, torch.nan))
        self.bandit.observe(rewards=torch.sigmoid(self.matrix.sum(dim=0)))
        self.cosines.zero_()
        self.trained.zero_()


def _take_width(module: InfluenceMatrix, state_dict: Mapping[str, Any], prefix: str, *_: Any) -> None:
    saved = state_dict.get(prefix + "latest")
    if isinstance(saved, Tensor):
        module.latest = torch.zeros(np.shape(saved))
