"""What an adapter holds for one module."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from accord.errors import DataError


@dataclass(frozen=True, slots=True)
class Factors:
    """A change of one weight, ``scale * B A``, that is never multiplied out before it is needed.

    Attributes:
        module: its name in the base.
        kind: a layer's weight ``[out, in, ...]``, or the table of an embedding ``[tokens, width]``.
        a: ``[r, in, ...]``; of an embedding ``[r, tokens]``.
        b: ``[out, r, ...]``; of an embedding ``[width, r]``.
        scale: ``alpha / r``, or ``alpha / sqrt(r)`` if the adapter is rank-stabilised.
        magnitude: lengths of the rows of the changed weight (DoRA), or ``None``.
        transposed: the base keeps the weight as ``[in, out]``.
    """

    module: str
    kind: Literal["layer", "embedding"]
    a: Tensor
    b: Tensor
    scale: float
    magnitude: Tensor | None = None
    transposed: bool = False

    @property
    def rank(self) -> int:
        """Number of columns of ``b`` and rows of ``a``."""
        return self.a.shape[0]

    def flat(self) -> tuple[Tensor, Tensor]:
        """Return ``left [rows, r]`` and ``right [r, width]``, whose product is the change as the base lays it out."""
        a, b = self.a.reshape(self.rank, -1), self.b.reshape(-1, self.rank)
        return (a.T, b.T) if self.kind == "embedding" or self.transposed else (b, a)

    def on(self, shape: torch.Size, label: str) -> Factors:
        """Return the factors as they fit a weight of this shape.

        PEFT has one ``fan_in_fan_out`` for layers of both kinds, so that shapes decide where they can.

        Raises:
            DataError: they fit in neither way.
        """
        for flipped in dict.fromkeys((self.transposed, not self.transposed)):
            tried = replace(self, transposed=flipped)
            left, right = tried.flat()
            rows, width = shape[0] if shape else 1, shape[1:].numel()
            if (left.shape[0], right.shape[1]) == (rows, width) and (
                self.kind == "layer" or flipped == self.transposed
            ):
                return tried
        left, right = self.flat()
        raise DataError(
            f"{label}: the factors of {self.module} make a change of {[left.shape[0], right.shape[1]]}, and the weight "
            f"of the base is {list(shape)}: the adapter was trained on another base"
        )
