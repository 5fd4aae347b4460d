"""One model as it is, for stacks of layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from accord.merging.combination import Array, Combination
from accord.method import Method


class Passthrough(Combination):
    """Take one model's tensors as they are, or times a number.

    What makes it a merge is what the model is: :func:`accord.merging.stack_layers` stacks layers of several models, or
    the same layers twice. Cost: one pass.

    Args:
        scale: factor of every tensor. At 1 the model comes back bit for bit.

    Source: Kim et al., SOLAR 10.7B: Scaling Large Language Models with Simple yet Effective Depth Up-Scaling, 2023, for
    the stacks; the name is mergekit's.
    """

    method: ClassVar[Method] = Method(
        title="Passthrough",
        paper="SOLAR 10.7B: Scaling Large Language Models with Simple yet Effective Depth Up-Scaling",
        year=2023,
        url="https://arxiv.org/abs/2312.15166",
        needs="parameters",
        cost="1 pass",
    )
    base: ClassVar[Literal["needed", "optional", "unused"]] = "unused"
    most: ClassVar[int | None] = 1

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        return [0.0, self.scale]
