"""Gradient-Blend: weight by how much of what a task learns carries over to data held out."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.share import check_tasks, share

# Overfitting below this part of the tasks' mean is noise, and must not buy a task all the weight.
GUARD = 0.01


class GradientBlend(DirectWeighting):
    """Weight each task by ``w = G / O^2``: what it gained on held-out data, over the square of what it overfitted.

    Between the two ends of a super-epoch ``G`` is the decrease of the validation loss and ``O`` the growth of the gap
    between validation and training loss. These weights make the ratio of overfitting to generalisation of the blended
    gradient smallest. Until the first super-epoch is over all weights are ``1/T``.

    Losses come through :meth:`end_epoch`, which ``accord fit`` calls. *Online*, as here, each super-epoch decides about
    the next. *Offline*, the paper's cheaper form, call it twice, with the losses before and after a trial run of each
    task alone, and train with ``offline=True``, which keeps the first weights for good.

    Shapes: losses ``[T]`` -> weights ``[T]``, not negative, summing to 1. Cost: one backward and the evaluations.

    Args:
        epochs: calls of :meth:`end_epoch` per super-epoch.
        offline: keep the weights of the first super-epoch.

    Source: Wang, Tran and Feiszli, What Makes Training Multi-Modal Classification Networks Hard?, 2020. It trains
    every task alone from a copy of the model to measure G and O in each super-epoch; losses of the joint run are their
    cheap stand-in, and losses of such copies can be handed in as well. A task without gain gets weight 0, where the
    ratio is smallest under non-negative weights (a peer takes the gain's absolute value, which rewards getting worse);
    if no task gained, the weights stay. Overfitting is taken as at least 1 % of the tasks' mean. Losses are means over
    samples: sums over data sets of different size would be taken for overfitting.
    """

    method: ClassVar[Method] = Method(
        title="Gradient-Blend",
        paper="What Makes Training Multi-Modal Classification Networks Hard?",
        year=2020,
        url="https://arxiv.org/abs/1905.12681",
        needs="losses",
        cost="1 backward + validation",
        catalogue=(141,),
    )
    blend: Tensor
    start: Tensor
    counted: Tensor

    def __init__(self, epochs: int = 1, offline: bool = False) -> None:
        super().__init__()
        if epochs < 1:
            raise ConfigurationError(f"a super-epoch has at least 1 epoch; got epochs={epochs}")
        self.epochs = epochs
        self.offline = offline
        self.register_buffer("blend", torch.zeros(0, dtype=torch.float64))
        # Training and validation losses at the start of the running super-epoch, NaN where there was none.
        self.register_buffer("start", torch.zeros(2, 0, dtype=torch.float64))
        self.register_buffer("counted", torch.zeros((), dtype=torch.int64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        if not self.blend.numel():
            return share(torch.ones_like(losses, dtype=torch.float64), losses, active)
        check_tasks(len(self.blend), losses, "GradientBlend")
        return share(self.blend, losses, active)

    def end_epoch(self, *, train: Tensor, validation: Tensor) -> None:
        """Learn the tasks' mean losses ``[T]`` at the end of an epoch, NaN where a task has none."""
        if train.shape != validation.shape or train.ndim != 1:
            raise ConfigurationError(
                f"train and validation are one mean loss per task; got shapes {list(train.shape)} and "
                f"{list(validation.shape)}"
            )
        now = torch.stack([train.detach(), validation.detach()]).to(self.start)
        if not self.start.numel():
            self.start = now
            return
        check_tasks(self.start.shape[1], train, "GradientBlend")
        self.counted += 1
        if int(self.counted) % self.epochs == 0:
            self._blend(now)
            # A task that was not seen now is compared with its last losses later.
            self.start = torch.where(now.isfinite().all(dim=0), now, self.start)

    def _blend(self, now: Tensor) -> None:
        if self.offline and self.blend.numel():
            return
        gain = self.start[1] - now[1]
        overfit = ((now[1] - now[0]) - (self.start[1] - self.start[0])).abs()
        known = gain.isfinite() & overfit.isfinite()
        if not bool((gain[known] > 0).any()):
            return
        least = GUARD * overfit[known].mean()
        worth = gain.clamp(min=0.0) / torch.where(least > 0, overfit.clamp(min=least) / least, 1.0) ** 2
        shares = torch.where(known, worth, torch.nan)
        shares = shares / shares.nansum()
        # Tasks about which nothing is known count as an average one.
        self.blend = torch.where(known, shares, 1.0 / int(known.sum()))

    def extra_repr(self) -> str:
        return f"epochs={self.epochs}, offline={self.offline}"
