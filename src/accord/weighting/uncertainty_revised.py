"""Homoscedastic uncertainty with a regulariser that is never negative."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from accord.balancer import LearnedWeighting, keep
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.share import check_tasks


class UncertaintyRevised(LearnedWeighting):
    """Learn a noise variance per task: ``1/T sum_i (L_i / (2 c_i^2) + log(1 + c_i^2))`` with ``s_i = log c_i^2``.

    As :class:`~accord.weighting.Uncertainty`, but ``log(1 + c^2)`` in place of ``log c`` keeps the objective positive
    however small a variance becomes. For a fixed loss the best variance solves ``2 c^4 = L (1 + c^2)``: small losses
    tend to weights in inverse proportion to their root, ``1 / sqrt(2 L)``, large ones to ``1 / L``.

    ``log_variance`` is a parameter ``[T]``: hand ``balancer.parameters()`` to the optimiser, without weight decay.

    Shapes: losses ``[T]`` -> weights ``[T]``, positive. Cost: one backward.

    Args:
        tasks: T.

    Source: Liebel and Körner, Auxiliary Tasks in Multi-task Learning, 2018. The paper learns ``c`` itself, whose sign
    is free and whose 0 is a pole; its square's logarithm is learned here. Every task starts at weight ``1/T`` (variance
    1/2), so that training begins as plain averaging. Losses are expected to be positive: with a negative one the weight
    grows without bound.
    """

    method: ClassVar[Method] = Method(
        title="Revised uncertainty weighting",
        paper="Auxiliary Tasks in Multi-task Learning",
        year=2018,
        url="https://arxiv.org/abs/1805.06334",
        needs="losses",
        cost="1 backward",
    )

    def __init__(self, tasks: int) -> None:
        super().__init__()
        if tasks < 1:
            raise ConfigurationError(f"UncertaintyRevised needs at least one task; got tasks={tasks}")
        self.log_variance = nn.Parameter(torch.full((tasks,), math.log(0.5)))

    def objective(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        check_tasks(len(self.log_variance), losses, "UncertaintyRevised")
        terms = torch.exp(-self.log_variance) / 2 * keep(losses, active) + softplus(self.log_variance)
        if active is None:
            return terms.mean()
        return keep(terms, active).sum() / active.sum().clamp(min=1)
