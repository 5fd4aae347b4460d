"""The sum of the losses, as most training scripts write it."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from accord.balancer import StatelessGramianAggregator
from accord.method import Method


class Sum(StatelessGramianAggregator):
    """Add the gradients: ``d = sum_i g_i``.

    The one aggregator off the common scale: it is T times :class:`Mean`, for trunk and heads alike, and is here so that
    a run of ``sum(losses).backward()`` can be repeated with its learning rate. If every gradient is 0 the weights are
    ``1/T``, which changes nothing.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, all 1.

    Source: Caruana, Multitask Learning, 1997.
    """

    method: ClassVar[Method] = Method(
        title="Sum",
        paper="Multitask Learning",
        year=1997,
        url="https://doi.org/10.1023/A:1007379606734",
        needs="nothing",
        cost="1 backward",
    )
    heads: ClassVar[Literal["mean", "sum"]] = "sum"

    def solve(self, gramian: Tensor) -> Tensor:
        return torch.ones(len(gramian), dtype=torch.float64)
