"""What a kernel sees: the same stretch of one tensor in every checkpoint, in work buffers that are used again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from accord.merging.compiled import AT_ONCE, address, kernels
from accord.merging.finite import fits

# Elements per block: a handful of float32 buffers of this length stay in a core's second-level cache. Where a method
# has buffers for each model, blocks are halved, but not below the shortest, until all take so many bytes: twice that
# cache, for in shorter blocks calls cost more than what is read from the next cache.
BLOCK = 1 << 17
SHORTEST = 1 << 13
CACHE = 1 << 23
# Elements that compiled loops are given at once, where they need no buffers: one call then lasts so long that waking a
# thread that waited for the interpreter's lock does not count, and what it wrote is still in the second-level cache.
STRETCH = 1 << 19


@dataclass(slots=True)
class Buffers:
    """The work buffers of one thread, made at first use and reused; fresh memory costs nine times the arithmetic."""

    held: dict[tuple[str, torch.dtype], Tensor] = field(default_factory=dict)
    # What was last returned: cutting a tensor costs as much as adding up thousands of elements.
    cut: dict[tuple[str, torch.dtype], Tensor] = field(default_factory=dict)
    stacks: dict[tuple[str, torch.dtype], Stack] = field(default_factory=dict)

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

    def stack(self, key: str, count: int, length: int, dtype: torch.dtype) -> Stack:
        """Return ``[count, length]`` elements with whatever they last held, and their rows ``[length]``."""
        last = self.stacks.get((key, dtype))
        if last is not None and last.whole.shape == (count, length):
            return last
        whole = self.take(key, count * length, dtype).view(count, length)
        made = self.stacks[key, dtype] = Stack(whole, whole.unbind())
        return made


@dataclass(frozen=True, slots=True)
class Stack:
    """One buffer for all models: an operation on all of it costs one call, and so do operations on a row.

    Attributes:
        whole: ``[count, length]``.
        rows: its rows.
    """

    whole: Tensor
    rows: tuple[Tensor, ...]


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
        known: what :meth:`once` keeps from block to block of the same tensor.
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
        known: dict[str, Any] | None = None,
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
        self.known = {} if known is None else known
        self._loaded: Tensor | None = None
        self._fitting: bool | None = None

    def buffer(self, key: str, dtype: torch.dtype | None = None) -> Tensor:
        """Return a work buffer ``[length]`` of this thread, with whatever it last held."""
        return self._buffers.take(key, self.length, dtype or self._dtype)

    def base(self) -> Tensor:
        """Return the base's elements ``[length]``; read once."""
        if self._loaded is None:
            assert self._base is not None
            self._loaded = self._read(self._base, "base")
        return self._loaded

    def model(self, index: int, key: str = "model") -> Tensor:
        """Return a model's elements ``[length]``, until the next model is asked for under the same ``key``."""
        return self._read(self._models[index], key)

    def delta(self, index: int) -> Tensor:
        """Return a model's task vector ``[length]``, which is a row of :meth:`stack`.

        It is 0 where model and base agree, which an infinity in both would otherwise turn into NaN.
        """
        base = self.base()
        delta = self._into(self.stack().rows[index], self._models[index])
        same = None if self._fits() else delta == base
        delta.sub_(base)
        return delta if same is None else delta.masked_fill_(same, 0.0)

    def deltas(self) -> Stack:
        """Return all task vectors, as :meth:`delta` has them."""
        stack, base, loops = self.stack(), self.base(), kernels()
        places = [self.address(index) for index in range(self.count)]
        if loops is not None and all(places):
            for row, place in zip(stack.rows, places, strict=True):
                loops.delta(place, base, row)
        elif self._fits():
            for row, model in zip(stack.rows, self._models, strict=True):
                self._into(row, model)
            stack.whole.sub_(base)
        else:
            for index in range(self.count):
                self.delta(index)
        return stack

    def address(self, index: int) -> int:
        """Return where the elements of a model, or of the base at -1, lie in memory; 0 if compiled loops cannot tell.

        They can where all is bfloat16, computed in float32.
        """
        source = self._base if index < 0 else self._models[index]
        return address(source, self.start) if self._dtype == torch.float32 else 0

    def addresses(self) -> list[int]:
        """Return all addresses, the base's first (0 if there is none), where compiled loops can take all at once.

        Nothing where they cannot, or are not there.
        """
        if kernels() is None or self.count > AT_ONCE:
            return []
        places = [self.address(index) for index in range(-1, self.count)]
        return places if all(places[0 if self.has_base else 1 :]) else []

    def stack(self, key: str = "deltas", dtype: torch.dtype | None = None) -> Stack:
        """Return a work buffer ``[count, length]`` of this thread, with whatever it last held."""
        return self._buffers.stack(key, self.count, self.length, dtype or self._dtype)

    def once(self, key: str, make: Callable[[], Any]) -> Any:
        """Return what ``make`` returned for the first block of this tensor."""
        if key not in self.known:
            self.known[key] = make()
        return self.known[key]

    def settled(self) -> Tensor:
        """Return where ``[length]`` all checkpoints agree; NaN agrees with NaN."""
        first = self.base().clone() if self.has_base else self.model(0).clone()
        same = torch.ones(self.length, dtype=torch.bool)
        for index in range(self.count):
            model = self.model(index)
            same &= (model == first) | (model.isnan() & first.isnan())
        return same

    def _fits(self) -> bool:
        """Return whether the base is finite; ``False`` may also mean that it is only large."""
        if self._fitting is None:
            self._fitting = fits(self.base(), self._dtype)
        return self._fitting

    def _read(self, source: Tensor, key: str) -> Tensor:
        return self._into(self.buffer(key), source)

    def _into(self, buffer: Tensor, source: Tensor) -> Tensor:
        loops, place = kernels(), address(source, self.start)
        if loops is None or not place or buffer.dtype != torch.float32:
            return buffer.copy_(source[self.start : self.start + self.length])
        loops.weigh(place, 1.0, False, buffer)
        return buffer
