"""Weights that do not change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.share import check_tasks, share


class Fixed(DirectWeighting):
    """Weight the losses by constants: ``sum_i w_i L_i``, equal by default.

    Only their ratios count: over the tasks that are active in a step the weights are brought to sum 1, so that no
    choice of them changes the learning rate by itself.

    Shapes: losses ``[T]`` -> weights ``[T]``. Cost: one backward.

    Args:
        weights: ``[T]`` non-negative relative weights; equal if ``None``.

    Source: Caruana, Multitask Learning, 1997. Tuned, it is the baseline that other weightings have to beat (Xin et al.,
    Do Current Multi-Task Optimization Methods in Deep Learning Even Help?, 2022).
    """

    method: ClassVar[Method] = Method(
        title="Fixed weights",
        paper="Multitask Learning",
        year=1997,
        url="https://doi.org/10.1023/A:1007379606734",
        needs="nothing",
        cost="1 backward",
        catalogue=(),
    )
    relative: Tensor

    def __init__(self, weights: Sequence[float] | Tensor | None = None) -> None:
        super().__init__()
        values = torch.zeros(0) if weights is None else torch.as_tensor(weights)
        relative = values.detach().to(torch.float64, copy=True)
        wrong = relative.ndim != 1 or not bool(relative.isfinite().all()) or bool((relative < 0).any())
        if wrong or (weights is not None and not relative.any()):
            raise ConfigurationError(
                f"fixed weights are one finite, non-negative number per task, not all 0; got {relative.tolist()}"
            )
        self.register_buffer("relative", relative)

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        if not self.relative.numel():
            return share(torch.ones_like(losses, dtype=torch.float64), losses, active)
        check_tasks(len(self.relative), losses, "Fixed")
        return share(self.relative, losses, active)
