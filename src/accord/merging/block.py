"""What a kernel sees: the same stretch of one tensor in every checkpoint, in work buffers that are used again."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from accord.merging.finite import all_finite

# Elements per block: a handful of float32 buffers of this length stay in a core's second-level cache.
BLOCK = 1 << 16


@dataclass(slots=True)
class Buffers:
    """The work buffers of one thread, made at first use and reused; fresh memory costs nine times the arithmetic."""

    held: dict[tuple[str, torch.dtype], Tensor] = field(default_factory=dict)
    # What was last returned: cutting a tensor costs as much as adding up thousands of elements.
    cut: dict[tuple[str, torch.dtype], Tensor] = field(default_factory=dict)

    def take(self, key: str, length: int, dtype: torch.dtype) -> Tensor:
        """Return ``[length]`` elements with whatever they last held."""
        last = self.cut.get((key, dtype))
        if last is not None and last.numel() == length:
            return last
        flat = self.held.get((key, dtype))
        if flat is None or flat.numel() < length:
            flat = self.held[key, dtype] = torch.empty(max(length, BLOCK), dtype=dtype)
        self.cut[key, dtype] = flat[:length]
        return self.cut[key, dtype]


class Block:
    """``[length]`` consecutive elements of one tensor, read when asked for, in the dtype that is computed in.

    Args:
        name: of the tensor.
        start: place of the first element in the flattened tensor.
        length: number of elements.
        base: the flattened tensor in the base, or ``None``.
        models: the flattened tensors in the models.
        dtype: what is computed in.
        buffers: those of the running thread. Everything a block returns lives there, until the next block.
        shape: of the whole tensor.
    """

    def __init__(
        self,
        name: str,
        start: int,
        length: int,
        base: Tensor | None,
        models: tuple[Tensor, ...],
        dtype: torch.dtype,
        buffers: Buffers,
        shape: tuple[int, ...],
    ) -> None:
        self.name = name
        self.shape = shape
        self.start = start
        self.length = length
        self.count = len(models)
        self.has_base = base is not None
        self._base = base
        self._models = models
        self._dtype = dtype
        self._buffers = buffers
        self._loaded: Tensor | None = None
        self._broken = False

    def buffer(self, key: str, dtype: torch.dtype | None = None) -> Tensor:
        """Return a work buffer ``[length]`` of this thread, with whatever it last held."""
        return self._buffers.take(key, self.length, dtype or self._dtype)

    def base(self) -> Tensor:
        """Return the base's elements ``[length]``; read once."""
        if self._loaded is None:
            assert self._base is not None
            self._loaded = self._read(self._base, "base")
            self._broken = not all_finite(self._loaded)
        return self._loaded

    def model(self, index: int, key: str = "model") -> Tensor:
        """Return a model's elements ``[length]``, until the next model is asked for under the same ``key``."""
        return self._read(self._models[index], key)

    def delta(self, index: int) -> Tensor:
        """Return a model's task vector ``[length]``, in a buffer of its own.

        It is 0 where model and base agree, which an infinity in both would otherwise turn into NaN.
        """
        base = self.base()
        delta = self.model(index, f"delta {index}")
        same = delta == base if self._broken else None
        delta.sub_(base)
        return delta if same is None else delta.masked_fill_(same, 0.0)

    def settled(self) -> Tensor:
        """Return where ``[length]`` all checkpoints agree; NaN agrees with NaN."""
        first = self.base().clone() if self.has_base else self.model(0).clone()
        same = torch.ones(self.length, dtype=torch.bool)
        for index in range(self.count):
            model = self.model(index)
            same &= (model == first) | (model.isnan() & first.isnan())
        return same

    def _read(self, source: Tensor, key: str) -> Tensor:
        return self.buffer(key).copy_(source[self.start : self.start + self.length])
