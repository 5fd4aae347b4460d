"""Equal mixing."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from accord.method import Method
from accord.sampling.mixture import FixedMixture, Mix
from accord.sampling.sampler import positive


class Uniform(FixedMixture):
    """Sample all tasks equally often, however much data they have: ``p_k = 1/T``.

    A small data set is then repeated many times while a large one is not seen whole; see
    :class:`~accord.sampling.UniMax` for a limit to that.

    Shapes: rows ``[T]``. Cost O(T).

    Args:
        tasks: T.
        mix: see :class:`~accord.sampling.mixture.Mixture`.
        seed: of the draws.

    Source: equal mixing in Raffel et al., Exploring the Limits of Transfer Learning with a Unified Text-to-Text
    Transformer, 2020, where it is the worst of the three strategies for pre-training on supervised tasks.
    """

    method: ClassVar[Method] = Method(
        title="Uniform sampling",
        paper="Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
        year=2020,
        url="https://arxiv.org/abs/1910.10683",
        needs="nothing",
        cost="O(T)",
        catalogue=(720,),
    )

    def __init__(self, tasks: int, mix: Mix = "rows", seed: int = 0) -> None:
        super().__init__(positive(np.ones(max(tasks, 0)).tolist(), "the number of tasks"), mix, seed)
