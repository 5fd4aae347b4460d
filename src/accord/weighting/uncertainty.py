"""Homoscedastic uncertainty: each loss is a likelihood whose noise is learned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from accord.balancer import LearnedWeighting, keep
from accord.errors import ConfigurationError, suggest
from accord.method import Method
from accord.weighting.share import check_tasks

Form = Literal["regression", "classification"]

# The factor before exp(-s) L in each form's likelihood.
FACTORS: dict[str, float] = {"regression": 0.5, "classification": 1.0}


class Uncertainty(LearnedWeighting):
    """Learn a noise variance per task: ``1/T sum_i (k_i exp(-s_i) L_i + s_i / 2)`` with ``s_i = log sigma_i^2``.

    A regression's squared error is divided by twice its variance (``k = 1/2``), a classifier's cross entropy by its
    squared temperature (``k = 1``), and half the log-variance keeps the noise from growing without end. For a fixed
    loss the best ``s`` makes ``k exp(-s) = 1 / (2 L)``: the method tends to weights in inverse proportion to the
    losses.

    ``log_variance`` is a parameter ``[T]``: hand ``balancer.parameters()`` to the optimiser, without weight decay.

    Shapes: losses ``[T]`` -> weights ``[T]``, positive. Cost: one backward.

    Args:
        tasks: T.
        forms: ``"regression"`` or ``"classification"``, one for all tasks or one per task.

    Source: Kendall, Gal and Cipolla, Multi-Task Learning Using Uncertainty to Weigh Losses, 2018. The paper leaves the
    start open; here every task starts at weight ``1/T`` (variance 1/2 for a regression, 1 for a classification), so
    that training begins as plain averaging. From there both forms take the same path, and differ in what
    ``log_variance`` means. Variances are free in both directions (a peer clamps ``s`` at 0 from below, so that weights
    can only fall). Losses are expected to be positive: a likelihood with a negative loss has no best variance, and its
    weight grows without bound.
    """

    method: ClassVar[Method] = Method(
        title="Uncertainty weighting",
        paper="Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics",
        year=2018,
        url="https://arxiv.org/abs/1705.07115",
        needs="losses",
        cost="1 backward",
        catalogue=(19,),
    )
    factors: Tensor

    def __init__(self, tasks: int, forms: Form | Sequence[Form] = "classification") -> None:
        super().__init__()
        if tasks < 1:
            raise ConfigurationError(f"Uncertainty needs at least one task; got tasks={tasks}")
        named = [forms] * tasks if isinstance(forms, str) else list(forms)
        for form in named:
            if form not in FACTORS:
                raise ConfigurationError(f"Uncertainty has no form {form!r}. {suggest(str(form), get_args(Form))}")
        if len(named) != tasks:
            raise ConfigurationError(f"Uncertainty was given {len(named)} forms for {tasks} tasks; give one per task")
        self.register_buffer("factors", torch.tensor([FACTORS[form] for form in named]))
        self.log_variance = nn.Parameter(torch.tensor([math.log(FACTORS[form]) for form in named]))

    def objective(self, losses: Tensor, *, gramian: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        check_tasks(len(self.factors), losses, "Uncertainty")
        terms = self.factors * torch.exp(-self.log_variance) * keep(losses, active) + self.log_variance / 2
        if active is None:
            return terms.mean()
        # An inactive task's noise must not drift while nothing is seen of it.
        return keep(terms, active).sum() / active.sum().clamp(min=1)
