"""Krum: the gradient that lies nearest to most others, for when some cannot be trusted."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.balancer import StatelessGramianAggregator
from accord.errors import ConfigurationError
from accord.linalg import precision
from accord.method import Method


class Krum(StatelessGramianAggregator):
    """Average the gradients with the least squared distances to their nearest neighbours; leave the others out.

    Gradient ``i`` scores the sum of its squared distances to the ``T - f - 2`` gradients nearest to it; the ``m`` with
    the least scores are averaged. Up to ``f`` gradients of any size and direction then cannot lead the step away, as
    long as ``T >= 2 f + 3``. It is made for copies of one objective that may be corrupt, and ignores tasks for good
    when their gradients are merely different.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``; Gramian ``[T, T]`` -> ``[T]``, ``1/m`` or 0. Cost O(T^2 log T) after the
    Gramian, which holds all distances.

    Args:
        byzantine: ``f``, how many gradients may be arbitrary, 0 or more.
        selected: ``m``, how many are averaged (multi-Krum), 1 or more.

    Source: Blanchard et al., Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent, 2017 (``m = 1``).
    Distances are squared, as in the paper; a peer adds plain ones up. With fewer tasks than the guarantee asks for, as
    when some are absent from a step, at least one neighbour is compared with, and all there are may be selected. Ties,
    as between two, go to the first task. Distances within rounding of the gradients' lengths count as 0.
    """

    method: ClassVar[Method] = Method(
        title="Krum",
        paper="Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent",
        year=2017,
        url="https://arxiv.org/abs/1703.02757",
        needs="gramian",
        cost="T backwards + O(T^2 P)",
    )

    def __init__(self, byzantine: int = 1, selected: int = 1) -> None:
        super().__init__()
        if byzantine < 0:
            raise ConfigurationError(f"byzantine counts gradients that may be arbitrary, 0 or more; got {byzantine}")
        if selected < 1:
            raise ConfigurationError(f"selected counts the gradients to average, 1 or more; got {selected}")
        self.byzantine = byzantine
        self.selected = selected

    def solve(self, gramian: Tensor) -> Tensor:
        matrix = gramian.numpy()
        squares = np.diagonal(matrix)
        both = squares[:, None] + squares
        distances = both - (matrix + matrix.T)
        distances[distances <= 16 * precision(matrix) * both] = 0.0
        np.fill_diagonal(distances, np.inf)
        neighbours = max(len(matrix) - self.byzantine - 2, 1)
        scores = np.sort(distances, axis=1)[:, : min(neighbours, len(matrix) - 1)].sum(axis=1)
        chosen = np.argsort(scores, kind="stable")[: self.selected]
        weights = np.zeros(len(matrix))
        weights[chosen] = 1.0 / len(chosen)
        return torch.from_numpy(weights)

    def extra_repr(self) -> str:
        return f"byzantine={self.byzantine}, selected={self.selected}"
