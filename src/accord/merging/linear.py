"""Averaging of weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from accord.merging.combination import Array, Combination
from accord.merging.merging_method import divisor, per_model
from accord.method import Method


class Linear(Combination):
    """Average the models: ``sum_i w_i model_i / sum_i w_i``.

    Works for any number of models of one architecture. Cost: one pass.

    Args:
        weights: one for each model, of any sign; equal ones when left out.
        normalise: divide by the sum of the weights. Without, ``weights`` are the coefficients as they are.

    Source: Wortsman et al., Model soups: averaging weights of multiple fine-tuned models improves accuracy without
    increasing inference time, 2022 (uniform soup).
    """

    method: ClassVar[Method] = Method(
        title="Linear (model soup)",
        paper="Model soups: averaging weights of multiple fine-tuned models improves accuracy",
        year=2022,
        url="https://arxiv.org/abs/2203.05482",
        needs="parameters",
        cost="1 pass",
    )
    base: ClassVar[Literal["needed", "optional", "unused"]] = "unused"

    def __init__(self, weights: Sequence[float] | None = None, normalise: bool = True) -> None:
        self.weights = weights
        self.normalise = normalise

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        weights = per_model(self.weights, models, 1.0, "weights")
        if not self.normalise:
            return [0.0, *weights]
        total = divisor(weights, "give others, or normalise=False")
        return [0.0, *(weight / total for weight in weights)]
