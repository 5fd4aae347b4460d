"""Temperature-scaled mixing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from accord.errors import ConfigurationError
from accord.method import Method
from accord.sampling.mixture import FixedMixture, Mix, tempered
from accord.sampling.sampler import positive


class Temperature(FixedMixture):
    """Raise tasks with little data: ``p_k`` proportional to ``n_k^(1/temperature)``, between proportional and uniform.

    Temperature 1 is proportional to size, infinity is uniform. With ``alpha`` for ``1/temperature`` it is the exponent
    of multilingual models: 0.7 in multilingual BERT, 0.5 in XLM, 0.3 in XLM-R and mT5, 0.2 in massively multilingual
    translation (temperature 5).

    Shapes: rows ``[T]``. Cost O(T).

    Args:
        sizes: ``[T]``, examples (or sentences, or characters) per task.
        temperature: above 0; mT5's ``1/0.3`` by default.
        mix: see :class:`~accord.sampling.mixture.Mixture`.
        seed: of the draws.

    Source: Xue et al., mT5: A Massively Multilingual Pre-trained Text-to-Text Transformer, 2021 (alpha 0.3); the same
    law in Conneau and Lample, Cross-lingual Language Model Pretraining, 2019 (alpha 0.5), and Arivazhagan et al.,
    Massively Multilingual Neural Machine Translation in the Wild, 2019 (temperature 5).
    """

    method: ClassVar[Method] = Method(
        title="Temperature sampling",
        paper="mT5: A Massively Multilingual Pre-trained Text-to-Text Transformer",
        year=2021,
        url="https://arxiv.org/abs/2010.11934",
        needs="nothing",
        cost="O(T)",
    )

    def __init__(self, sizes: Sequence[int], temperature: float = 1 / 0.3, mix: Mix = "rows", seed: int = 0) -> None:
        check_temperature(temperature)
        super().__init__(tempered(positive(sizes, "sizes"), temperature), mix, seed)


def check_temperature(temperature: float) -> None:
    """Raise a :class:`ConfigurationError` unless ``temperature`` is above 0; infinity is allowed."""
    if not temperature > 0.0 or math.isnan(temperature):
        raise ConfigurationError(f"temperature must be above 0, 1 for proportional sampling; got {temperature}")
