"""Examples-proportional mixing with a limit, as T5 has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.mixture import FixedMixture, Mix, tempered
from accord.sampling.sampler import positive
from accord.sampling.temperature import check_temperature


class Capped(FixedMixture):
    """Sample by size, but let no task count for more than ``limit`` examples.

    ``r_k = min(n_k, K)^(1/temperature)`` and ``p_k = r_k / sum r``: a huge task, an unsupervised one above all, leaves
    room for the others, which keep their proportions among themselves.

    Shapes: rows ``[T]``. Cost O(T).

    Args:
        sizes: ``[T]``, examples per task.
        limit: ``K``, the artificial limit on a data set's size, above 0. The paper tries 2^16 to 2^21; 2^19 is best for
            most of its tasks.
        temperature: above 0; 1 is the paper's examples-proportional mixing. The paper's temperature-scaled mixing
            takes 2 (best) to 8 with a limit of 2^21.
        mix: see :class:`~accord.sampling.mixture.Mixture`.
        seed: of the draws.

    Source: Raffel et al., Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer, 2020.
    """

    method: ClassVar[Method] = Method(
        title="T5 mixing",
        paper="Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
        year=2020,
        url="https://arxiv.org/abs/1910.10683",
        needs="nothing",
        cost="O(T)",
        catalogue=(720,),
    )

    def __init__(
        self, sizes: Sequence[int], limit: float = 2**19, temperature: float = 1.0, mix: Mix = "rows", seed: int = 0
    ) -> None:
        if not limit > 0:
            raise ConfigurationError(f"limit must be above 0 examples; got {limit}")
        check_temperature(temperature)
        super().__init__(tempered(np.minimum(positive(sizes, "sizes"), limit), temperature), mix, seed)
