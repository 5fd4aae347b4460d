"""Weighted sums with coefficients of their own for each row, or each column, of a tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.combination import Array
from accord.merging.survey import Part, Survey

By = Literal["tensor", "row", "column"]


def check_by(by: str, *allowed: str) -> None:
    """Raise a :class:`ConfigurationError` unless ``by`` is one of those ``allowed``."""
    if by not in allowed:
        raise ConfigurationError(f"by is {' or '.join(map(repr, allowed))}; got {by!r}")


def vectors_of(block: Block) -> Sequence[Tensor]:
    """Return what is weighted, ``[length]`` each: task vectors where there is a base, else the models."""
    if block.has_base:
        return block.deltas().rows
    return [block.model(index, f"row {index}") for index in range(block.count)]


def row_gramians(block: Block) -> Array:
    """Return the inner products ``[rows, n, n]`` of all rows of a block, which are runs along the last dimension."""
    row = block.shape[-1] if block.shape else 1
    vectors = [vector.view(-1, row) for vector in vectors_of(block)]
    found = np.empty((len(vectors[0]), len(vectors), len(vectors)))
    for i, first in enumerate(vectors):
        for j, second in enumerate(vectors[: i + 1]):
            found[:, i, j] = found[:, j, i] = torch.linalg.vecdot(first, second).double().numpy()
    return found


class ColumnGramians(Survey):
    """Inner products along the first dimension, at each place of the others. One pass.

    ``found`` is ``[columns, n, n]``, in float64.
    """

    def __init__(self, models: int) -> None:
        self.column_bytes = 8 * models * (models + 4)

    def part(self) -> Part:
        return _Columns()

    def take(self, parts: Sequence[Part]) -> None:
        (part,) = parts
        assert isinstance(part, _Columns)
        self.found = part.total
        self.finished = True


class _Columns(Part):
    def __init__(self) -> None:
        self.total: Array | None = None

    def look(self, block: Block) -> None:
        vectors = vectors_of(block)
        columns = math.prod(block.shape[1:])
        if self.total is None:
            self.total = np.zeros((columns, block.count, block.count))
        product = block.buffer("product")
        for i, first in enumerate(vectors):
            for j, second in enumerate(vectors[: i + 1]):
                self.total[:, i, j] += _folded(torch.mul(first, second, out=product), block.start, columns)
                self.total[:, j, i] = self.total[:, i, j]


def _folded(values: Tensor, start: int, columns: int) -> Array:
    """Return sums ``[columns]`` of ``values``, the first of which lies at ``start`` of the flattened tensor."""
    skipped = start % columns
    rows = -(-(skipped + len(values)) // columns)
    if rows * columns != len(values):
        values = torch.nn.functional.pad(values, (skipped, rows * columns - skipped - len(values)))
    return values.view(rows, columns).sum(0, dtype=torch.float64).numpy()


def weigh_strips(block: Block, coefficients: Array, by: By) -> Tensor:
    """Return the base, if there is one, plus the vectors of a block times ``coefficients``, ``[length]`` in a buffer.

    Args:
        block: of whole rows where ``by`` is ``"row"``.
        coefficients: of each vector in each of the block's rows, or in each column of the tensor, ``[strips, n]``.
        by: which.
    """
    merged, share = block.buffer("merged").zero_(), block.buffer("share")
    each, width = torch.from_numpy(coefficients).to(merged.dtype), len(coefficients)
    if by == "row":
        shape, each = (-1, block.shape[-1] if block.shape else 1), each[:, None]
    elif block.start % width == 0 and block.length % width == 0:
        shape = (-1, width)
    else:
        shape, each = (-1,), each[torch.arange(block.start, block.start + block.length) % width]
    for vector, weights in zip(vectors_of(block), each.unbind(-1), strict=True):
        torch.mul(vector.view(shape), weights, out=share.view(shape))
        merged.add_(share)
    return merged.add_(block.base()) if block.has_base else merged
