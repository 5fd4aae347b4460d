"""Tensors that are worked out stretch by stretch while they are read, and never lie in memory whole."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor

# Elements worked out at a time where all of a tensor is looked at.
STRETCH = 1 << 18


class LazyTensor(ABC):
    """What the engine reads of a tensor: shape, type and slices of its flattened elements.

    A slice is a new tensor in the dtype that was computed in, not rounded to ``dtype``, which only says how a result is
    stored and how wide the arithmetic has to be. Every slice is worked out anew; nothing is kept.

    Args:
        shape: of the tensor; rows are its first dimension.
        dtype: see above.
    """

    device = torch.device("cpu")

    def __init__(self, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.shape = torch.Size(shape)
        self.dtype = dtype

    @abstractmethod
    def rows(self, first: int, last: int) -> Tensor:
        """Return rows ``first`` to ``last`` (exclusive), ``[last - first, width]``."""

    @property
    def width(self) -> int:
        """Elements of a row."""
        return math.prod(self.shape[1:])

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """Size in bytes, were it stored."""
        return self.numel() * self.dtype.itemsize

    @property
    def compute(self) -> torch.dtype:
        """What slices are worked out in."""
        return torch.float32 if self.dtype.itemsize == 2 else torch.float64

    def numel(self) -> int:
        """Return the number of elements."""
        return math.prod(self.shape)

    def data_ptr(self) -> int:
        """Return what tells this tensor from every other one."""
        return id(self)

    def detach(self) -> LazyTensor:
        """Return the tensor itself: it has no gradient."""
        return self

    def reshape(self, *shape: int) -> LazyTensor:
        """Return the tensor itself for ``-1``, since slices are of the flattened one."""
        assert shape == (-1,)
        return self

    def sample(self, run: int, stride: int) -> Tensor:
        """Return one run of ``run`` neighbours in ``stride`` runs, flattened."""
        step = run * stride
        whole = self.numel() // step
        if not whole:
            return self[0 : self.numel()]
        chunk = max(1, STRETCH // step)
        starts = range(0, whole, chunk)
        ends = (min(start + chunk, whole) for start in starts)
        parts = [
            self[start * step : end * step].view(-1, step)[:, :run] for start, end in zip(starts, ends, strict=True)
        ]
        return torch.cat(parts).reshape(-1)

    def __len__(self) -> int:
        return self.numel()

    def __getitem__(self, place: slice) -> Tensor:
        start, stop, _ = place.indices(self.numel())
        if stop <= start:
            return torch.empty(0, dtype=self.compute)
        first, last = start // self.width, -(-stop // self.width)
        flat = self.rows(first, last).reshape(-1)
        return flat[start - first * self.width : stop - first * self.width]


def as_tensor(lazy: LazyTensor) -> Tensor:
    """Return ``lazy`` under the type that mappings of tensors have."""
    return cast(Tensor, lazy)
