"""Smooth Tchebycheff: the largest preferred loss, smoothly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from accord.balancer import LearnedWeighting
from accord.errors import ConfigurationError
from accord.method import Method
from accord.weighting.share import check_tasks


class SmoothTchebycheff(LearnedWeighting):
    """Minimise ``mu log(1/T sum_i exp(p_i (L_i - z_i) / mu))``, a smooth ``max_i p_i (L_i - z_i)``.

    Every Pareto-optimal point, on a concave part of the front too, is the minimum for some preference ``p``. As ``mu``
    tends to 0 only the largest term counts, as it grows the mean of them. The weights are ``p_i softmax(p (L - z) /
    mu)_i`` with preferences of mean 1: they sum to 1 if the preferences are equal, the common scale. With unequal ones
    they do not, and T equal gradients come back multiplied by a mean of the preferences.

    Losses are compared with each other in their own units: bring them to one scale first, for example by handing their
    logarithms or ``L / L(0)`` to :func:`accord.backward`.

    Shapes: losses ``[T]`` -> weights ``[T]``, positive. Cost: one backward. No parameters, no state.

    Args:
        mu: smoothness in the unit of the losses, above 0.
        preference: ``[T]`` non-negative relative importances ``p``, brought to mean 1; equal if ``None``.
        ideal: ``[T]`` losses ``z`` that each task could reach alone; 0 if ``None``.

    Source: Lin et al., Smooth Tchebycheff Scalarization for Multi-Objective Optimization, 2024 (mu 1, the default of
    the authors' code). The paper has no ``1/T``, which moves no minimum and makes equal terms give their own value. The
    authors' code for deep networks descends plain log losses for some epochs and takes their mean as the unit, in
    attributes that no checkpoint holds; that belongs to the losses, and is left to the caller.
    """

    method: ClassVar[Method] = Method(
        title="STCH",
        paper="Smooth Tchebycheff Scalarization for Multi-Objective Optimization",
        year=2024,
        url="https://arxiv.org/abs/2402.19078",
        needs="losses",
        cost="1 backward",
    )
    preference: Tensor
    ideal: Tensor

    def __init__(
        self,
        mu: float = 1.0,
        preference: Sequence[float] | Tensor | None = None,
        ideal: Sequence[float] | Tensor | None = None,
    ) -> None:
        super().__init__()
        if not 0.0 < mu < math.inf:
            raise ConfigurationError(f"mu must be a finite number above 0; got {mu}")
        self.mu = mu
        self.register_buffer("preference", _numbers(preference, "preference"))
        self.register_buffer("ideal", _numbers(ideal, "ideal"))
        if bool((self.preference < 0).any()) or (self.preference.numel() and not bool(self.preference.any())):
            raise ConfigurationError(
                f"a preference is one non-negative number per task, not all 0; got {self.preference.tolist()}"
            )

    def objective(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        mask = torch.ones_like(losses, dtype=torch.bool) if active is None else active.to(losses.device)
        values = torch.where(mask, losses, torch.zeros_like(losses)).double()
        if not bool(mask.any()):
            return values.sum().to(losses.dtype)
        if self.ideal.numel():
            check_tasks(len(self.ideal), losses, "the ideal of SmoothTchebycheff")
            values = values - self.ideal.to(losses.device)
        if self.preference.numel():
            check_tasks(len(self.preference), losses, "the preference of SmoothTchebycheff")
            chosen = torch.where(mask, self.preference.to(losses.device), 0.0)
            # Divided first: the inverse of the least divisor, times the number of tasks, may be no number.
            values = values * (chosen / chosen.sum().clamp(min=torch.finfo(chosen.dtype).tiny) * mask.sum())
        terms = torch.where(mask, values / self.mu, -math.inf)
        return (self.mu * (torch.logsumexp(terms, dim=0) - mask.sum().log())).to(losses.dtype)

    def extra_repr(self) -> str:
        return f"mu={self.mu}"


def _numbers(values: Sequence[float] | Tensor | None, name: str) -> Tensor:
    found = torch.zeros(0) if values is None else torch.as_tensor(values).detach()
    if found.ndim != 1 or not bool(found.isfinite().all()):
        raise ConfigurationError(f"{name} is one finite number per task; got {found.tolist()}")
    return found.to(torch.float64, copy=True)
