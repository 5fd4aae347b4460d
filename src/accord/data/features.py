"""What a model reads: a table as a few compact tensors, and the layout that says how to read them."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class FeatureLayout:
    """What a model must know to read :class:`Features`; the same for every table that one encoder transforms.

    Attributes:
        numeric: names of the ``n`` numeric features (a date or an embedded text gives several).
        edges: for each of them the rising bin edges of a piecewise-linear embedding, in standardised units: up to
            ``bins + 1`` values, at least two.
        indicators: names of the columns whose missing values have one of the ``m`` indicators.
        categorical: names of the ``c`` categorical features.
        cardinalities: for each of them the number of codes, code 0 (missing, unseen or rare) included.
        text: names of the ``t`` text features.
        text_buckets: number of n-gram ids, padding 0 included; 0 when there is no text.
        text_width: ``k``, the number of n-gram ids kept of each text.
    """

    numeric: tuple[str, ...] = ()
    edges: tuple[tuple[float, ...], ...] = ()
    indicators: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    cardinalities: tuple[int, ...] = ()
    text: tuple[str, ...] = ()
    text_buckets: int = 0
    text_width: int = 0

    @property
    def num_columns(self) -> int:
        """Number of features of all sorts, indicators included."""
        return len(self.numeric) + len(self.indicators) + len(self.categorical) + len(self.text)


@dataclass(frozen=True, slots=True, eq=False)
class Features:
    """Encoded rows. Whole tables are stored narrowly; rows taken from them come out as models want them.

    Indexing with a slice or an index tensor gives ``numeric`` and ``indicators`` as float32 and ``categorical`` and
    ``text`` as int32, whatever the storage is.

    Attributes:
        numeric: ``[N, n]`` float32, standardised, 0 where missing.
        indicators: ``[N, m]`` bool in storage, 1 where the value is missing.
        categorical: ``[N, c]`` int16 in storage when every code fits, else int32; 0 is missing, unseen or rare.
        text: ``[N, t, k]`` hashed n-gram ids, int16 in storage when they fit, else int32; 0 is padding.
    """

    numeric: Tensor
    indicators: Tensor
    categorical: Tensor
    text: Tensor

    def __len__(self) -> int:
        return self.numeric.shape[0]

    def __getitem__(self, rows: slice | Tensor | np.ndarray) -> Features:
        """Return the given rows (a slice, row numbers ``[B]``, or a mask ``[N]``) in model-ready types."""
        if isinstance(rows, slice):
            return _wide(*(part[rows] for part in self.parts()))
        index = torch.as_tensor(rows, device=self.numeric.device)
        index = index.nonzero().squeeze(1) if index.dtype == torch.bool else index
        return _wide(*(part.index_select(0, index) for part in self.parts()))

    @property
    def nbytes(self) -> int:
        """Bytes of storage."""
        return sum(part.nbytes for part in self.parts())

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        return self.numeric.device

    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the four tensors in the order of the fields."""
        return self.numeric, self.indicators, self.categorical, self.text

    def to(self, device: torch.device | str) -> Features:
        """Return the same rows on ``device``, stored as narrowly as before."""
        return Features(*(part.to(device) for part in self.parts()))


def _wide(numeric: Tensor, indicators: Tensor, categorical: Tensor, text: Tensor) -> Features:
    return Features(numeric, indicators.float(), categorical.int(), text.int())


def empty(rows: int, layout: FeatureLayout) -> dict[str, np.ndarray]:
    """Return zeroed arrays for ``rows`` rows of ``layout``, each as narrow as its codes allow."""
    codes = np.int16 if max(layout.cardinalities, default=0) <= 2**15 else np.int32
    grams = np.int16 if layout.text_buckets <= 2**15 else np.int32
    shapes = {
        "numeric": ((rows, len(layout.numeric)), np.float32),
        "indicators": ((rows, len(layout.indicators)), np.bool_),
        "categorical": ((rows, len(layout.categorical)), codes),
        "text": ((rows, len(layout.text), layout.text_width), grams),
    }
    assert list(shapes) == [f.name for f in fields(Features)]
    return {name: np.zeros(shape, dtype) for name, (shape, dtype) in shapes.items()}
