"""SON-GOKU: tasks that interfere take turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.colouring import colour, extended
from accord.sampling.sampler import News, Sampler, rows_of, spread


class SonGoku(Sampler):
    """Colour the graph of interfering tasks, and train one colour per step.

    Two tasks interfere when the average cosine of their gradients is below ``-threshold``. A greedy colouring (Welsh
    and Powell: most neighbours first, the first colour that fits) puts tasks that do not interfere into one class; the
    classes take turns, each batch shared evenly within its class. The first batch and every ``period``-th after it hold
    all tasks, so that all inner products are measured; the graph is then coloured anew::

        counts = sampler(64)
        ...
        sampler.observe(gramian=accord.backward(losses, shared=shared, balancer=balancer).gramian)

    Within a class gradients rarely oppose each other; any balancer may be used on top.

    Shapes: rows ``[T]``. Cost O(T^2) per step beyond the Gramian, O(T^2 log T) per colouring.

    Args:
        tasks: T.
        period: steps from one colouring to the next, at least 2.
        threshold: the cosine, negated, from which on tasks interfere, in [0, 1).
        decay: of the averages, in [0, 1).
        visits: in how many classes of a round each task should be, at least 1. It is added to further classes where it
            interferes with none of their tasks, and stays in fewer where there are none.
        warmup: steps in which nothing interferes, so that all tasks are in every batch.
        anneal: steps after ``warmup`` in which the threshold goes from 1 to ``threshold``, on a line in its logarithm
            (a threshold of 0 is taken at once).
        seed: of the rounding of rows.

    Source: Patapati and Srinivasan, Graph Coloring for Multi-Task Learning, 2025 (SON-GOKU; the authors' code: period
    32, threshold 0.25, decay 0.9, logarithmic annealing). The paper averages gradients; here it is their cosines that
    are averaged, over the batches that held both tasks, which needs no memory in P and no second forward pass, and the
    step that measures them trains as well. (Averages of inner products are no cosines where the lengths, which more
    batches measure, have changed in between.) Pairs that were not measured do not interfere, as there.
    """

    method: ClassVar[Method] = Method(
        title="SON-GOKU",
        paper="Graph Coloring for Multi-Task Learning",
        year=2025,
        url="https://arxiv.org/abs/2509.16959",
        needs="gramian",
        cost="O(T^2) after the Gramian",
    )
    hears = ("gramian",)
    average: Tensor
    step: Tensor
    turn: Tensor
    classes: Tensor

    def __init__(
        self,
        tasks: int,
        period: int = 32,
        threshold: float = 0.25,
        decay: float = 0.9,
        visits: int = 1,
        warmup: int = 0,
        anneal: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(tasks, seed)
        if period < 2 or visits < 1 or warmup < 0 or anneal < 0:
            raise ConfigurationError(
                "needs a period of at least 2, visits of at least 1, warmup and anneal of 0 or more; "
                f"got {period}, {visits}, {warmup} and {anneal}"
            )
        if not 0.0 <= threshold < 1.0 or not 0.0 <= decay < 1.0:
            raise ConfigurationError(f"threshold and decay must be in [0, 1); got {threshold} and {decay}")
        self.period, self.threshold, self.decay, self.visits = period, threshold, decay, visits
        self.warmup, self.anneal = warmup, anneal
        self.register_buffer("average", torch.full((tasks, tasks), torch.nan, dtype=torch.float64))
        self.register_buffer("step", torch.tensor(0))
        self.register_buffer("turn", torch.tensor(0))
        # Row c says which tasks are in class c; rows beyond the last class are empty.
        self.register_buffer("classes", torch.zeros(tasks, tasks, dtype=torch.bool))

    def current_threshold(self) -> float:
        """Return the threshold of the next colouring."""
        step = int(self.step)
        if step < self.warmup:
            return 1.0
        done = 1.0 if not self.anneal or not self.threshold else min(1.0, (step - self.warmup) / self.anneal)
        return self.threshold**done if self.threshold else 0.0

    def interference(self) -> Tensor:
        """Return the average cosines ``[T, T]``, negated; 0 on the diagonal and where nothing was measured."""
        return -self.average.nan_to_num(nan=0.0).fill_diagonal_(0.0)

    def forward(self, batch: int | Sequence[int]) -> Tensor:
        rows = rows_of(batch, self.tasks)
        members = self._turn()
        self.step += 1
        return spread(members / members.sum(), rows, self.draws.generator())

    def _turn(self) -> np.ndarray:
        """Return which tasks ``[T]`` take part in the next batch, and move on to the next class."""
        place = int(self.step) % self.period
        if place == 0:
            return np.ones(self.tasks)
        if place == 1:
            self._colour()
        members = self.classes[int(self.turn)].numpy().astype(np.float64)
        self.turn.fill_((int(self.turn) + 1) % int(self.classes.any(dim=1).sum()))
        return members

    def _colour(self) -> None:
        edges = (self.interference() > self.current_threshold()).numpy()
        self.classes.zero_()
        for number, members in enumerate(extended(colour(edges), edges, self.visits)):
            self.classes[number, members] = True
        self.turn.zero_()

    def learn(self, news: News) -> None:
        assert news.gramian is not None
        squares = news.gramian.diagonal()
        # An absent task has a zero row, as in Step.gramian: it is no news of its angle to the others.
        present = squares.isfinite() & (squares > 0)
        heard = present[:, None] & present & news.gramian.isfinite()
        lengths = squares.sqrt()
        cosines = (news.gramian / lengths / lengths[:, None]).clamp(-1.0, 1.0)
        blended = self.decay * self.average + (1.0 - self.decay) * cosines
        moved = torch.where(self.average.isfinite(), blended, cosines)
        self.average.copy_(torch.where(heard, moved, self.average))
