"""FAMO: weights under which all losses fall at the same relative rate, from the losses alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from accord.balancer import DirectWeighting
from accord.errors import ConfigurationError, suggest
from accord.method import Method
from accord.weighting.adam import adam
from accord.weighting.share import check_tasks, observed, share

LearnFrom = Literal["training", "validation"]


class FAMO(DirectWeighting):
    """Weight the logarithms of the losses, and learn the weights from how the losses changed.

    With ``z = softmax(xi)`` and ``D_i = L_i - b_i`` the loss above its lower bound, a step descends ``sum_i z_i log
    D_i``, up to a factor: the weights are ``(z_i / D_i) / sum_j (z_j / D_j)``. Then ``xi`` descends, by Adam with
    decay, along ``softmax'(xi) delta + decay xi`` with ``delta_i = log D_i - log D_i'`` the relative decrease that the
    step achieved: a task whose loss fell less than the others' gains weight.

    ``D'`` is taken from the next call's losses, of the next batch, so that the method costs nothing. For the paper's
    algorithm to the letter, compute the same batch's losses again after the optimiser's step and hand them to
    :meth:`observe`. With ``learn_from="validation"`` the logits learn only from validation losses, how those changed
    between two calls of :meth:`observe` or :meth:`end_epoch`, so that all tasks converge alike on data held out.

    Shapes: losses ``[T]``, above their bounds -> weights ``[T]``, positive, summing to 1. Cost: one backward; with
    :meth:`observe`, one more forward. A loss at its bound can fall no further and weighs 0 while it is there.

    Args:
        lr: learning rate of ``xi``.
        decay: of ``xi`` towards equal ``z``, 0 or more.
        bounds: ``[T]`` lower bounds ``b`` of the losses; 0 if ``None``.
        learn_from: ``"training"`` or ``"validation"`` losses (as MFTCoder does: Liu et al., 2024).

    Source: Liu et al., FAMO: Fast Adaptive Multitask Optimization, 2023 (learning rate 0.025; decay 0.01 and Adam, as
    in the authors' code, whose scripts set the decay to 0.001 on three data sets of four; the paper writes plain
    descent). Their code adds 1e-8 to every loss and clips the gradient at norm 1; neither is part of the method, and
    without them it does not depend on the losses' common scale.
    """

    method: ClassVar[Method] = Method(
        title="FAMO",
        paper="FAMO: Fast Adaptive Multitask Optimization",
        year=2023,
        url="https://arxiv.org/abs/2306.03792",
        needs="losses",
        cost="1 backward",
        catalogue=(293,),
    )
    bounds: Tensor
    logits: Tensor
    moments: Tensor
    updates: Tensor
    before: Tensor

    def __init__(
        self,
        lr: float = 0.025,
        decay: float = 0.01,
        bounds: Sequence[float] | Tensor | None = None,
        learn_from: LearnFrom = "training",
    ) -> None:
        super().__init__()
        if learn_from not in get_args(LearnFrom):
            hint = suggest(str(learn_from), get_args(LearnFrom))
            raise ConfigurationError(f"FAMO cannot learn from {learn_from!r}. {hint}")
        if not 0.0 < lr < math.inf:
            raise ConfigurationError(f"lr must be a finite number above 0; got {lr}")
        if not 0.0 <= decay < math.inf:
            raise ConfigurationError(f"decay must be a finite number of at least 0; got {decay}")
        values = torch.zeros(0) if bounds is None else torch.as_tensor(bounds).detach()
        if values.ndim != 1 or not bool(values.isfinite().all()):
            raise ConfigurationError(f"bounds are one finite number per task; got {values.tolist()}")
        self.lr = lr
        self.decay = decay
        self.learn_from = learn_from
        self.register_buffer("bounds", values.to(torch.float64, copy=True))
        self.register_buffer("logits", torch.zeros(0, dtype=torch.float64))
        self.register_buffer("moments", torch.zeros(2, 0, dtype=torch.float64))
        self.register_buffer("updates", torch.zeros(0, dtype=torch.float64))
        # Logarithms of the last step's losses, NaN where a task took no part or the step was observed already; of the
        # last validation losses where those are learned from.
        self.register_buffer("before", torch.zeros(0, dtype=torch.float64))

    def forward(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        if not self.logits.numel():
            self._begin(losses)
        check_tasks(len(self.logits), losses, "FAMO")
        logs = self._logs(losses, active)
        if self.learn_from == "training":
            self.observe(losses, active=active)
            self.before = logs
        used = logs.isfinite()
        # In units of the smallest loss, which keeps the ratios of tiny losses within range.
        scores = torch.where(used, self.logits - logs, -math.inf)
        chosen = torch.exp(scores - scores.max()) if bool(used.any()) else torch.zeros_like(logs)
        return share(chosen, losses, active)

    def observe(self, losses: Tensor, *, active: Tensor | None = None) -> None:
        """Learn from the losses ``[T]`` of the same batch after a step, or of a validation.

        Training losses are compared with those of the step, and the next call to the weighting then does not do so
        again; validation losses with those of the call before, once per task that has one.
        """
        if not self.logits.numel():
            self._begin(losses)
        check_tasks(len(self.logits), losses, "FAMO")
        logs = self._logs(losses, active)
        fallen = self.before - logs
        seen = fallen.isfinite()
        if bool(seen.any()):
            self._learn(fallen[seen], seen)
        if self.learn_from == "training":
            self.before = torch.full_like(logs, math.nan)
        else:
            self.before = torch.where(logs.isfinite(), logs, self.before)

    def end_epoch(self, *, validation: Tensor, train: Tensor | None = None) -> None:
        """Learn from the validation losses ``[T]`` of an epoch, NaN where a task has none, if that was asked for."""
        if self.learn_from == "validation":
            self.observe(validation, active=validation.isfinite())

    def _begin(self, losses: Tensor) -> None:
        tasks = len(losses)
        self.logits = self.logits.new_zeros(tasks)
        self.moments = self.moments.new_zeros(2, tasks)
        self.updates = self.updates.new_zeros(tasks)
        self.before = self.before.new_full((tasks,), math.nan)

    def _logs(self, losses: Tensor, active: Tensor | None) -> Tensor:
        """Return ``log D`` ``[T]``, NaN for tasks that are inactive or at their bound."""
        values, mask = observed(losses, active, self.logits)
        if self.bounds.numel():
            check_tasks(len(self.bounds), losses, "the bounds of FAMO")
            values = values - self.bounds
        if bool((mask & (values < 0)).any()):
            raise ConfigurationError(
                f"FAMO needs losses above their lower bounds; got {losses.tolist()}. Pass bounds=, one number per task."
            )
        return torch.where(mask & (values > 0), values, torch.nan).log()

    def _learn(self, fallen: Tensor, seen: Tensor) -> None:
        """Take one step of Adam on the logits of the tasks in ``seen``, whose losses fell by ``fallen``."""
        portion = torch.softmax(self.logits[seen], dim=0)
        slope = portion * (fallen - portion @ fallen) + self.decay * self.logits[seen]
        self.logits[seen] -= self.lr * adam(slope, seen, self.moments, self.updates)

    def extra_repr(self) -> str:
        return f"lr={self.lr}, decay={self.decay}, learn_from={self.learn_from!r}"
