"""One tensor of the result: where it is read, and how it is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

if TYPE_CHECKING:
    from accord.merging.merging_method import MergingMethod


@dataclass(frozen=True, slots=True)
class Rules:
    """What to do where checkpoints differ in more than their numbers. The default refuses, and names what differs.

    Attributes:
        missing: a tensor of the base that a model lacks: refuse, or take the base's (a task vector of 0).
        extra: a tensor that the base lacks: refuse, or leave it out of the result.
        dtype: what the result is stored as; that of the base (else of the first model) where ``None``.
        arithmetic: what is computed in; where ``None``, float32 for half precision and float64 for float32 and wider.
    """

    missing: Literal["refuse", "base"] = "refuse"
    extra: Literal["refuse", "drop"] = "refuse"
    dtype: torch.dtype | None = None
    arithmetic: torch.dtype | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor of the result.

    Attributes:
        method: what merges it.
        name: of the tensor.
        shape: of the tensor.
        dtype: what it is stored as.
        arithmetic: what is computed in.
        base: the flattened tensor in the base, or ``None``.
        models: the flattened tensors in the models.
        copy: take ``copy``, flattened, as it is and merge nothing.
        tied: the entry that this one is the same as, in every checkpoint. It is merged under that name.
    """

    method: MergingMethod
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    arithmetic: torch.dtype
    base: Tensor | None
    models: tuple[Tensor, ...]
    copy: Tensor | None = None
    tied: str | None = None

    @property
    def elements(self) -> int:
        """Number of elements."""
        return self.models[0].numel()

    @property
    def row(self) -> int:
        """Length of a row: the last dimension, 1 for a scalar."""
        return self.shape[-1] if self.shape else 1

    @property
    def bytes(self) -> int:
        """Size of the result."""
        return self.elements * self.dtype.itemsize
