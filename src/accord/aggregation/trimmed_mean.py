"""The trimmed mean: per coordinate, without its extremes."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.jacobian_aggregator import JacobianAggregator, Present
from accord.errors import ConfigurationError
from accord.method import Method


class TrimmedMean(JacobianAggregator):
    """Average each coordinate over the tasks after dropping its ``k`` largest and ``k`` smallest entries.

    No ``k`` gradients, whatever they are, can take a coordinate out of the range of the others. With as much trimmed as
    can be it is the median. The direction is not a weighted sum of the gradients, may conflict with them, and may be
    longer than each of them, by up to ``sqrt(P)``.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``. Cost O(T log T P), or O(T P) where nothing is trimmed.

    Args:
        trim: ``k``, 0 or more; 0 is plain averaging.

    Source: Yin et al., Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates, 2018, whose fraction
    ``beta`` is ``k / T``. With ``2 k`` or fewer tasks, as when some are absent from a step, ``k`` becomes the largest
    number that leaves one entry or two.
    """

    method: ClassVar[Method] = Method(
        title="Trimmed mean",
        paper="Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates",
        year=2018,
        url="https://arxiv.org/abs/1803.01498",
        needs="jacobian",
        cost="T backwards + O(T log T P)",
    )

    def __init__(self, trim: int = 1) -> None:
        super().__init__()
        if trim < 0:
            raise ConfigurationError(f"trim counts the entries dropped at either end, 0 or more; got {trim}")
        self.trim = trim

    def combine(self, rows: Tensor, present: Present) -> Tensor:
        trim = min(self.trim, (len(rows) - 1) // 2)
        if not trim:
            return rows.mean(dim=0)
        return _ordered(rows)[trim : len(rows) - trim].mean(dim=0)

    def extra_repr(self) -> str:
        return f"trim={self.trim}"


def _ordered(rows: Tensor) -> Tensor:
    # NumPy sorts columns of a CPU tensor eight times as fast.
    return torch.from_numpy(np.sort(rows.numpy(), axis=0)) if rows.device.type == "cpu" else rows.sort(dim=0).values
