"""Gradient sign dropout: where tasks disagree on the sign of a coordinate, one sign is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.jacobian_aggregator import JacobianAggregator, Present
from accord.errors import ConfigurationError
from accord.linalg.draws import Draws
from accord.method import Method


class GradDrop(JacobianAggregator):
    """Keep, coordinate by coordinate, only the gradients of one sign, drawn by how much of each sign there is.

    The purity ``p = (1 + sum_i g_i / sum_i |g_i|) / 2`` of a coordinate is the share of its positive parts. With one
    uniform draw ``u`` per coordinate, only positive entries are kept if ``u < p`` and only negative ones otherwise. The
    direction is ``1/T sum_i (l_i + (1 - l_i) m_i) g_i`` with ``m_i`` 1 for what is kept.

    Shapes: Jacobian ``[T, P]`` -> ``[P]``. Cost O(T P) and P draws.

    Args:
        leak: ``[T]`` in [0, 1], how much of what would be dropped each task gets through; 0 if ``None``.
        seed: of the draws. Their place in the stream is part of ``state_dict``.

    Source: Chen et al., Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout, 2020 (no leak;
    its function of the purity is the identity, as in all its experiments). The paper drops gradients of a
    representation, after they were multiplied by its sign and added up over the batch; here, as in both peers, the
    coordinates are those of the shared parameters. It adds gradients up; here they are averaged, the common scale.
    """

    method: ClassVar[Method] = Method(
        title="GradDrop",
        paper="Just Pick a Sign: Optimizing Deep Multitask Models with Gradient Sign Dropout",
        year=2020,
        url="https://arxiv.org/abs/2010.06808",
        needs="jacobian",
        cost="T backwards + O(T P)",
    )
    leak: Tensor

    def __init__(self, leak: Sequence[float] | Tensor | None = None, seed: int = 0) -> None:
        super().__init__()
        values = torch.zeros(0) if leak is None else torch.as_tensor(leak).detach()
        if values.ndim != 1 or not bool(((values >= 0) & (values <= 1)).all()):
            raise ConfigurationError(f"a leak is one number in [0, 1] per task; got {values.tolist()}")
        self.register_buffer("leak", values.to(torch.float64, copy=True))
        self.draws = Draws(seed)

    def combine(self, rows: Tensor, present: Present) -> Tensor:
        tasks = present.tasks
        leak = self.leak.to(rows.device) if self.leak.numel() else torch.zeros(tasks, device=rows.device)
        if len(leak) != tasks:
            raise ConfigurationError(f"the leak has {len(leak)} entries but there are {tasks} tasks; give one per task")
        above, below = rows.clamp(min=0), rows.clamp(max=0)
        up, down = above.sum(dim=0), below.sum(dim=0)
        purity = torch.where(up - down > 0, up / (up - down), 0.5)
        drawn = self.draws.generator().random(rows.shape[1], dtype=np.float32)
        positive = torch.from_numpy(drawn).to(rows.device) < purity
        if self.leak.any():
            part = leak[present.kept].to(rows)
            up, down = up + part @ below, down + part @ above
        return torch.where(positive, up, down) / len(rows)
