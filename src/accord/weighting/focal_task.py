"""Focal weights on whole tasks: hard tasks first, easy ones fade."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.share import check_tasks, observed, share


class FocalTask(DirectWeighting):
    """Descend ``sum_i (1 - p_i)^gamma L_i``, up to a factor, with ``p_i = exp(-L_i)`` the probability of being right.

    The weights are the slope of that sum in the losses, brought to sum 1: a task predicted with confidence hands its
    weight to the others. Once :meth:`end_epoch` was called, ``p`` comes from the last validation losses instead and is
    a constant, so that a task is easy only if it is so on data held out (``accord fit`` calls it).

    Shapes: losses ``[T]``, mean negative log-likelihoods -> weights ``[T]``, not negative, summing to 1. Cost: one
    backward.

    Args:
        gamma: focus, 0 or more; 0 is plain averaging.

    Source: Liu et al., MFTCoder: Boosting Code LLMs with Multitask Fine-Tuning, 2024, the balance of difficulty at the
    level of tasks, after Lin et al., Focal Loss for Dense Object Detection, 2017 (gamma 2). The paper's ``p`` is the
    mean probability over a task's samples, of which the losses only tell the geometric mean; its per-task factors
    ``alpha`` are :class:`~accord.weighting.Fixed` weights on the losses. Its balance of data is the same weight for
    every task's mean loss, over tokens or over samples: ``Fixed()``. Its balance of convergence is
    ``FAMO(learn_from="validation")``, in its code also :class:`~accord.weighting.CoBa`.
    """

    method: ClassVar[Method] = Method(
        title="Focal task weights",
        paper="MFTCoder: Boosting Code LLMs with Multitask Fine-Tuning",
        year=2024,
        url="https://arxiv.org/abs/2311.02303",
        needs="losses",
        cost="1 backward",
        catalogue=(293,),
    )
    held_out: Tensor

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        if not 0.0 <= gamma < math.inf:
            raise ConfigurationError(f"gamma must be a finite number of at least 0; got {gamma}")
        self.gamma = gamma
        # Last validation losses; NaN for a task that never had one.
        self.register_buffer("held_out", torch.zeros(0, dtype=torch.float64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        values, mask = observed(losses, active, self.held_out)
        _check_sign(values)
        right = torch.exp(-values)
        wrong = -torch.expm1(-values)
        factors = wrong**self.gamma
        if self.gamma > 0:
            # gamma L p (1 - p)^(gamma - 1), in a form that knows its limit at a loss of 0.
            factors = factors * (1 + self.gamma * right * torch.where(wrong > 0, values / wrong, 1.0))
        if self.held_out.numel():
            check_tasks(len(self.held_out), losses, "FocalTask")
            factors = torch.where(self.held_out.isnan(), factors, (-torch.expm1(-self.held_out)) ** self.gamma)
        # When every task is certain, none is easier than another.
        solved = not bool((factors * mask).any())
        return share(torch.ones_like(factors) if solved else factors, losses, active)

    def end_epoch(self, *, validation: Tensor, train: Tensor | None = None) -> None:
        """Learn the tasks' mean validation losses ``[T]``; NaN keeps what was known of a task."""
        found = validation.detach().to(self.held_out)
        _check_sign(found)
        if not self.held_out.numel():
            self.held_out = torch.full_like(found, math.nan)
        check_tasks(len(self.held_out), validation, "FocalTask")
        self.held_out = torch.where(found.isfinite(), found, self.held_out)

    def extra_repr(self) -> str:
        return f"gamma={self.gamma}"


def _check_sign(losses: Tensor) -> None:
    if bool((losses < 0).any()):
        raise ConfigurationError(
            f"FocalTask takes losses for negative log-likelihoods of at least 0; got {losses.tolist()}. "
            "Add a constant to the loss, or choose a weighting that does not need probabilities."
        )
