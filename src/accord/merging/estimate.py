"""About how long a merge will take, by trying its methods on a few made-up numbers."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from accord.merging.block import BLOCK
from accord.merging.engine import Engine
from accord.merging.entry import Entry
from accord.merging.lazy import LazyTensor
from accord.merging.matrix_method import MatrixMethod

TRIED = 4 * BLOCK
ROW = 1 << 10
WRITING = 1e9  # bytes a second, summed and written


class _Nowhere:
    def put(self, entry: Entry, start: int, values: Tensor) -> None:
        """Forget ``values``."""


def estimate(entries: Sequence[Entry], threads: int) -> float | None:
    """Return the seconds that merging ``entries`` takes, about; ``None`` for methods whose cost is not per number.

    Every kind of method is run on :data:`TRIED` random numbers, which takes some hundredths of a second. Reading from a
    disk slower than the arithmetic is not in it, nor is what lazy tensors cost.
    """
    groups: dict[tuple[str, int, torch.dtype], list[Entry]] = {}
    for entry in entries:
        if entry.copy is None and entry.elements:
            groups.setdefault((type(entry.method).__name__, len(entry.models), entry.arithmetic), []).append(entry)
    seconds = sum(entry.bytes for entry in entries) / WRITING
    for group in groups.values():
        if isinstance(group[0].method, MatrixMethod):
            return None
        seconds += _try(group[0]) * sum(entry.elements for entry in group) / TRIED
    return seconds / threads


def _quiet(_name: str, _count: int) -> None:
    """Made-up numbers give nothing to tell."""


def _try(entry: Entry) -> float:
    generator = torch.Generator().manual_seed(0)
    size = min(TRIED, max(1, entry.elements))

    def numbers(like: Tensor) -> Tensor:
        dtype = torch.float32 if isinstance(like, LazyTensor) else like.dtype
        return torch.randn(size, generator=generator).to(dtype)

    tried = replace(
        entry,
        shape=(size // ROW, ROW) if size % ROW == 0 else (size,),
        base=None if entry.base is None else numbers(entry.base),
        models=tuple(numbers(model) for model in entry.models),
        tied=None,
    )
    engine = Engine(1, _quiet)
    spent = []
    for _ in range(2):  # the first time fills caches
        start = time.perf_counter()
        engine.merge([tried], _Nowhere(), engine.survey([tried]))
        spent.append(time.perf_counter() - start)
    return min(spent) * TRIED / size
