"""What every column encoder is, and what people may choose about them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from accord.data.features import FeatureLayout
from accord.data.numeric import BINS, Scale
from accord.data.text import BUCKETS

MIN_COUNT = 2
MAX_CATEGORIES = 50_000


@dataclass(frozen=True, slots=True)
class Options:
    """What people may choose about encoding.

    Attributes:
        bins: bins of the piecewise-linear embedding of each numeric feature.
        min_count: a category seen less often in the training rows shares code 0.
        max_categories: the most frequent categories kept of one column; the others share code 0.
        text_buckets: n-gram ids, padding included.
        non_finite: what to do with infinite numbers: ``"refuse"`` or take as ``"missing"``.
        missing: texts that count as missing.
    """

    bins: int = BINS
    min_count: int = MIN_COUNT
    max_categories: int = MAX_CATEGORIES
    text_buckets: int = BUCKETS
    non_finite: str = "refuse"
    missing: tuple[str, ...] = ()


class WrongType(TypeError):  # noqa: N818 - internal signal, turned into a DataError that names the column
    """A column's type is not the one that was learnt; the message says what was."""


class ColumnEncoder(ABC):
    """A column's fitted encoder."""

    kind: ClassVar[str]
    name: str

    @abstractmethod
    def encode(self, array: Any, options: Options) -> dict[str, np.ndarray]:
        """Return ``{"numeric": [n, p], "indicators": [n, 1], "categorical": [n, 1], "text": [n, 1, k]}`` as apply."""

    @abstractmethod
    def layout(self, options: Options) -> FeatureLayout:
        """Return the part of the layout that this column takes up."""


class ColumnFit(ABC):
    """Sees the training rows of one column once and becomes a :class:`ColumnEncoder`."""

    @abstractmethod
    def update(self, array: Any, picked: np.ndarray) -> None:
        """Take in one batch of training rows; ``picked [n]`` marks those in the quantile sample."""

    @abstractmethod
    def finish(self) -> ColumnEncoder:
        """Return the fitted encoder."""


def scaled(values: np.ndarray, scales: tuple[Scale, ...], indicator: bool) -> dict[str, np.ndarray]:
    """Return standardised columns of ``values [n, p]``, and the indicator of the missing ones if there is one."""
    result: dict[str, np.ndarray] = {"indicators": np.isnan(values[:, :1])} if indicator else {}
    if scales:
        result["numeric"] = np.stack([scale(x) for scale, x in zip(scales, values.T, strict=True)], axis=1)
    return result


def numeric_layout(name: str, scales: Mapping[str, Scale], indicator: bool) -> FeatureLayout:
    """Return the layout of numeric features called ``name`` or ``name.part``."""
    titles = tuple(f"{name}.{part}" if part else name for part in scales)
    return FeatureLayout(
        numeric=titles,
        edges=tuple(scale.edges for scale in scales.values()),
        indicators=(name,) if indicator else (),
    )
