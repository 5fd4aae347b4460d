"""Plain averaging, the baseline every other aggregator has to beat."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import StatelessGramianAggregator
from accord.method import Method


class Mean(StatelessGramianAggregator):
    """Average the gradients: ``d = 1/T sum_i g_i``.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, all ``1/T``. Under :func:`accord.backward`
    this is one ordinary backward of the mean loss.

    Source: Caruana, Multitask Learning, 1997.
    """

    method: ClassVar[Method] = Method(
        title="Mean",
        paper="Multitask Learning",
        year=1997,
        url="https://doi.org/10.1023/A:1007379606734",
        needs="nothing",
        cost="1 backward",
    )

    def solve(self, gramian: Tensor) -> Tensor:
        return torch.full((len(gramian),), 1.0 / len(gramian), dtype=torch.float64)
