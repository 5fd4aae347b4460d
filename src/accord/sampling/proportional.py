"""Examples-proportional mixing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from accord.method import Method
from accord.sampling.mixture import FixedMixture, Mix
from accord.sampling.sampler import positive


class Proportional(FixedMixture):
    """Sample each task as often as it has examples: ``p_k = n_k / sum n``, as if all data were one data set.

    Shapes: rows ``[T]``. Cost O(T).

    Args:
        sizes: ``[T]``, examples per task.
        mix: see :class:`~accord.sampling.mixture.Mixture`.
        seed: of the draws.

    Source: Sanh, Wolf and Ruder, A Hierarchical Multi-task Approach for Learning Embeddings from Semantic Tasks, 2019
    ("proportional sampling"); examples-proportional mixing without a limit in Raffel et al., 2020.
    """

    method: ClassVar[Method] = Method(
        title="Proportional sampling",
        paper="A Hierarchical Multi-task Approach for Learning Embeddings from Semantic Tasks",
        year=2019,
        url="https://arxiv.org/abs/1811.06031",
        needs="nothing",
        cost="O(T)",
    )

    def __init__(self, sizes: Sequence[int], mix: Mix = "rows", seed: int = 0) -> None:
        super().__init__(positive(sizes, "sizes"), mix, seed)
