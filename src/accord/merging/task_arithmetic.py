"""Arithmetic with task vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from accord.merging.combination import Array, Combination
from accord.merging.merging_method import per_model
from accord.method import Method


class TaskArithmetic(Combination):
    """Add task vectors to the base: ``base + sum_i lambda_i (model_i - base)``.

    A negative coefficient takes a behaviour away. The analogy "A is to B as C is to what?" is ``C + lambda (B - A)``:
    with C as the base and the models ``[A, B]``, ``scale=[-lambda, lambda]``. Cost: one pass.

    Args:
        scale: ``lambda_i``, one for each model or one for all. The paper searches 0 to 1 in steps of 0.05, and 0.3 is
            usual for eight tasks.

    It is computed as ``(1 - sum_i lambda_i) base + sum_i lambda_i model_i``, in which rounding is relative to the
    weights: one model at coefficient 1 comes back bit for bit, as does the base at coefficients of 0.

    Source: Ilharco et al., Editing Models with Task Arithmetic, 2023.
    """

    method: ClassVar[Method] = Method(
        title="Task arithmetic",
        paper="Editing Models with Task Arithmetic",
        year=2023,
        url="https://arxiv.org/abs/2212.04089",
        needs="parameters",
        cost="1 pass",
    )

    def __init__(self, scale: Sequence[float] | float = 0.3) -> None:
        self.scale = scale

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        scale = per_model(self.scale, models, 0.3, "scale")
        # Summed exactly, so that coefficients meant to sum to 1 leave nothing of the base.
        return [1.0 - math.fsum(scale), *scale]
