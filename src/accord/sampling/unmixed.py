"""Batches of one task each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from accord.method import Method
from accord.sampling.mixture import FixedMixture
from accord.sampling.sampler import positive


class Unmixed(FixedMixture):
    """Draw one task per step, which has the whole batch and a batch size of its own.

    For tasks that need large batches (contrastive ones), or inputs of different shapes. ``P(k) = s_k / sum s``. Give
    ``[T]`` batch sizes to draw heterogeneous ones. Gradients of one task per step are noisy in a way that Adam does not
    expect: :class:`accord.steps.MTAdamW` is the paper's answer.

    Shapes: rows ``[T]``, all but one of them 0. Cost O(T).

    Args:
        weights: ``s_k``, ``[T]``, above 0, in any units.
        seed: of the draws.

    Source: Li et al., Uni-Perceiver v2: A Generalist Model for Large-Scale Vision and Vision-Language Tasks, 2023. The
    paper sets the weights by hand. All processes draw the same task, as there. Any other mixture of this room is made
    unmixed by ``mix="unmixed"``.
    """

    method: ClassVar[Method] = Method(
        title="Unmixed sampling",
        paper="Uni-Perceiver v2: A Generalist Model for Large-Scale Vision and Vision-Language Tasks",
        year=2023,
        url="https://arxiv.org/abs/2211.09808",
        needs="nothing",
        cost="O(T)",
        catalogue=(257,),
    )

    def __init__(self, weights: Sequence[float], seed: int = 0) -> None:
        super().__init__(positive(weights, "weights"), "unmixed", seed)
