"""How far to go from the base towards the mean, from the angle between the models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from accord.merging.combination import Array, Combination, GramianSurvey
from accord.merging.survey import Survey
from accord.method import Method


class ModelStock(Combination):
    """Interpolate between the base and the mean of the models: ``t mean_i model_i + (1 - t) base``, for each tensor.

    ``t = n cos / (1 + (n - 1) cos)`` with ``cos`` the mean cosine between two task vectors of that tensor: the point
    nearest to the centre of the fine-tuned solutions if these lie on a thin shell around it. Two models suffice.

    Cost: two passes, the first with ``n (n - 1) / 2`` inner products per tensor. A model that equals the base in a
    tensor has no angle there, and counts as a right one. A negative mean cosine gives the base (``t = 0``): the formula
    would lead away from the models.

    Source: Jang, Yun and Han, Model Stock: All we need is just a few fine-tuned models, 2024.
    """

    method: ClassVar[Method] = Method(
        title="Model Stock",
        paper="Model Stock: All we need is just a few fine-tuned models",
        year=2024,
        url="https://arxiv.org/abs/2403.19522",
        needs="parameters",
        cost="2 passes",
    )
    fewest: ClassVar[int] = 2

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return GramianSurvey(models, "deltas")

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        share = 0.0 if gramian is None else ratio(gramian)
        return [1.0 - share, *[share / models] * models]


def ratio(gramian: Array) -> float:
    """Return ``t`` in [0, 1] from the Gramian ``[n, n]`` of the task vectors."""
    models = len(gramian)
    lengths = np.sqrt(np.diag(gramian))
    sizes = np.outer(lengths, lengths)
    cosines = np.divide(gramian, sizes, out=np.zeros_like(gramian), where=(sizes > 0) & (sizes < np.inf))
    cosine = float(np.clip((cosines.sum() - np.trace(cosines)) / (models * (models - 1)), 0.0, 1.0))
    return models * cosine / (1.0 + (models - 1) * cosine)
