"""Impartial losses: learned scales that make all losses count alike."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.balancer import LearnedWeighting, keep
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.share import check_tasks


class IMTLL(LearnedWeighting):
    """Learn a scale per loss that brings it to 1: ``1/T sum_i (exp(s_i) L_i - s_i)``.

    For a fixed loss the best ``s`` makes ``exp(s) L = 1``: the method tends to weights ``1 / (T L_i)``, with no
    assumption about likelihoods; it is uncertainty weighting with twice its weights.

    ``log_scale`` is a parameter ``[T]``, 0 at first, which is plain averaging: hand ``balancer.parameters()`` to the
    optimiser, without weight decay.

    Shapes: losses ``[T]`` -> weights ``[T]``, positive. Cost: one backward.

    Args:
        tasks: T.

    Source: Liu et al., Towards Impartial Multi-task Learning, 2021 (the loss half, IMTL-L, with base e; the gradient
    half is an aggregator, IMTL-G). Losses are expected to be positive: a negative one has no best scale.
    """

    method: ClassVar[Method] = Method(
        title="IMTL-L",
        paper="Towards Impartial Multi-task Learning",
        year=2021,
        url="https://openreview.net/forum?id=IMPnRXEWpvr",
        needs="losses",
        cost="1 backward",
    )

    def __init__(self, tasks: int) -> None:
        super().__init__()
        if tasks < 1:
            raise ConfigurationError(f"IMTLL needs at least one task; got tasks={tasks}")
        self.log_scale = nn.Parameter(torch.zeros(tasks))

    def objective(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        check_tasks(len(self.log_scale), losses, "IMTLL")
        terms = self.log_scale.exp() * keep(losses, active) - self.log_scale
        if active is None:
            return terms.mean()
        return keep(terms, active).sum() / active.sum().clamp(min=1)
