"""As uniform as possible without repeating small data sets too often."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from accord.method import Method
from accord.sampling.mixture import FixedMixture, Mix
from accord.sampling.sampler import positive


class UniMax(FixedMixture):
    """Protect low-resource tasks from overfitting: uniform, except that no data set is repeated beyond ``epochs``.

    The rows of the whole training are dealt out evenly; a task takes ``u_k = min(share, epochs * n_k)`` of them, what
    it leaves goes to the larger ones (smallest first), and ``p_k = u_k / sum u``. In other words ``u_k = min(c, epochs
    n_k)`` with the level ``c`` at which all rows are dealt out.

    Shapes: rows ``[T]``. Cost O(T log T), once.

    Args:
        sizes: ``[T]``, examples per task.
        rows: examples that will be drawn in the whole training, above 0. Beyond ``epochs * sum(sizes)`` no mixture can
            keep the promise, and the result is proportional to size.
        epochs: how often an example may be seen, above 0.
        mix: see :class:`~accord.sampling.mixture.Mixture`.
        seed: of the draws.

    Source: Chung et al., UniMax: Fairer and More Effective Language Sampling for Large-Scale Multilingual Pretraining,
    2023 (1 to 10 epochs; 1 in umT5). The cap holds in expectation, as there; with ``mix="shares"`` up to one row per
    batch of rounding.
    """

    method: ClassVar[Method] = Method(
        title="UniMax",
        paper="UniMax: Fairer and More Effective Language Sampling for Large-Scale Multilingual Pretraining",
        year=2023,
        url="https://arxiv.org/abs/2304.09151",
        needs="nothing",
        cost="O(T log T) once",
    )

    def __init__(
        self, sizes: Sequence[int], rows: float, epochs: float = 1.0, mix: Mix = "rows", seed: int = 0
    ) -> None:
        caps = positive(sizes, "sizes") * positive([epochs], "epochs")
        super().__init__(_dealt(caps, float(positive([rows], "rows")[0])), mix, seed)


def _dealt(caps: np.ndarray, rows: float) -> np.ndarray:
    taken = np.zeros_like(caps)
    for place, task in enumerate(np.argsort(caps, kind="stable")):
        taken[task] = min((rows - taken.sum()) / (len(caps) - place), caps[task])
    return taken
