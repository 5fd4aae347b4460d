"""Changes of low rank as the tensors that any method merges, multiplied out while they are read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from accord.merging.adapters.factors import Factors
from accord.merging.adapters.products import shape_of
from accord.merging.engine import Engine
from accord.merging.entry import Entry
from accord.merging.in_memory import Tensors, warn_not_finite
from accord.merging.lazy import LazyTensor, as_tensor
from accord.merging.matrix_method import MatrixMethod
from accord.merging.merging_method import MergingMethod
from accord.merging.progress import Progress

THREADS = 4


class ProductTensor(LazyTensor):
    """The change of one module ``scale * left @ right``; zeros for an adapter that leaves it alone.

    Args:
        shape: ``[rows, width]``.
        factors: of the change, or ``None``.
        dtype: says what is computed in, as for any lazy tensor: float64, or float32 for half precision.
    """

    def __init__(self, shape: tuple[int, int], factors: Factors | None, dtype: torch.dtype = torch.float64) -> None:
        super().__init__(shape, dtype)
        self.factors = factors

    def rows(self, first: int, last: int) -> Tensor:
        if self.factors is None:
            return torch.zeros((last - first, self.width), dtype=self.compute)
        left, right = self.factors.flat()
        return (left[first:last].to(self.compute) @ right.to(self.compute)).mul_(self.factors.scale)


def merge_changes(
    method: MergingMethod, modules: Mapping[str, Sequence[Factors | None]], progress: Progress | None = None
) -> Iterator[tuple[str, Tensor]]:
    """Yield each module and the merge ``[rows, width]`` of its changes, by a method that sees all modules together.

    Cost: the method's passes, in which every change is multiplied out block by block; one merged module is held at a
    time, in float64.

    Args:
        method: what merges. Its base is a change of 0.
        modules: the factors of every module, one for each adapter and ``None`` where it has none. They fit each other.
        progress: told of every pass over all of them.
    """
    entries = entries_of(method, modules)
    engine = Engine(threads_of(method), warn_not_finite)
    found = engine.survey(entries, progress)
    for module, entry in zip(modules, entries, strict=True):
        sink = Tensors([entry], torch.device("cpu"))
        engine.merge([entry], sink, found)
        yield module, sink.held[entry.name]


def threads_of(method: MergingMethod) -> int:
    """Return how many threads look at changes: few, for what takes long are decompositions, one after the other."""
    return 1 if isinstance(method, MatrixMethod) else min(THREADS, os.cpu_count() or 1)


def entries_of(
    method: MergingMethod, modules: Mapping[str, Sequence[Factors | None]], dtype: torch.dtype = torch.float64
) -> list[Entry]:
    """Return the changes of all modules as the engine takes them; ``dtype`` as :class:`ProductTensor` has it."""
    return [_entry(method, module, parts, dtype) for module, parts in modules.items()]


def _entry(method: MergingMethod, module: str, parts: Sequence[Factors | None], dtype: torch.dtype) -> Entry:
    shape = shape_of(parts)
    models = tuple(as_tensor(ProductTensor(shape, part, dtype)) for part in parts)
    base = as_tensor(ProductTensor(shape, None, dtype)) if method.base == "needed" else None
    return Entry(method, f"{module}.weight", shape, dtype, ProductTensor(shape, None, dtype).compute, base, models)
