"""Elect one vector; mask and rescale it for each task."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.merging.accumulate import Array, Totals
from accord.merging.block import Block
from accord.merging.election import elect
from accord.merging.masked import Masked
from accord.merging.survey import Survey
from accord.method import Method


class EMR(Masked):
    """Give one task's model back from an elected vector: ``base + scale_i mask_i unified``.

    1. *Elect*: the sign of an entry is that of the sum of the task vectors, its size the largest of those that agree.
    2. *Mask*: a task has the entries in which its own sign is the elected one.
    3. *Rescale*: its masked vector is given the same sum of magnitudes, over the whole model, as its task vector.

    Cost: two passes. Stored by :func:`accord.merging.compress`, a task costs one bit for each weight and one number. No
    data and no search are needed, but at use it must be known which task an input belongs to.

    Args:
        task: place of the model that comes back, from 0 on.

    The scale is the paper's, ``sum |tau_i| / sum |mask_i unified|``; the authors' code sums the means of the tensors
    instead, in which small tensors count as much as large ones. Where the task vectors cancel out exactly nothing is
    elected; that code elects the negative ones.

    Source: Huang et al., EMR-Merging: Tuning-Free High-Performance Model Merging, 2024.
    """

    method: ClassVar[Method] = Method(
        title="EMR-Merging",
        paper="EMR-Merging: Tuning-Free High-Performance Model Merging",
        year=2024,
        url="https://arxiv.org/abs/2405.17461",
        needs="parameters",
        cost="2 passes",
    )

    def __init__(self, task: int = 0) -> None:
        self.task = task
        self.scope = "model"

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return Totals(self._sizes)

    def unify(self, block: Block, found: Any) -> Tensor:
        return elect(block, block.deltas(), "max", [1.0] * block.count)

    def mask(self, block: Block, index: int, unified: Tensor) -> Tensor:
        agrees = torch.mul(block.delta(index), unified.sign(), out=block.buffer("agrees")) > 0
        # What is no number has no sign to agree with: it stays, so that it is seen in the result.
        return agrees.logical_or_(unified.isnan())

    def scales(self, models: int, found: Any) -> list[float]:
        own, masked = found[:models], found[models:]
        return np.divide(own, masked, out=np.ones(models), where=masked > 0).tolist()

    def _sizes(self, block: Block) -> Array:
        """Return the sums of magnitudes of the task vectors, then of the masked vectors, ``[2 n]``."""
        unified = self.unify(block, None)
        own, masked = [], []
        for index in range(block.count):
            mask = self.mask(block, index, unified)
            own.append(_size(block.delta(index)))
            masked.append(_size(block.buffer("masked").copy_(unified).mul_(mask)))
        return np.array(own + masked)


def _size(values: Tensor) -> float:
    """Return the sum of magnitudes, which are overwritten; what is not finite counts as 0."""
    total = values.abs_().sum().item()
    return total if math.isfinite(total) else values.nan_to_num_(0.0, 0.0, 0.0).sum().item()
