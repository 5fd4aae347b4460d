"""A Jacobian that is held in memory, one block of columns per parameter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accord.engines._engine import Derivatives, columns
from accord.engines._pages import rows_apart, zeros
from accord.engines._products import products


class Rows(Derivatives):
    """Derivatives with the Jacobian materialised: no second pass is needed to descend.

    Memory: T·P numbers, once. ``whole`` is the Jacobian in one piece when the blocks are views of it.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        blocks: list[Tensor | None],
        heads: list[tuple[Tensor | None, ...]],
        active: Tensor,
        whole: Tensor | None = None,
        groups: Sequence[Sequence[int]] = (),
    ) -> None:
        self._groups = groups
        self._parameters = parameters
        self._blocks = blocks
        self._whole = whole
        self._active = active
        self.heads = heads

    def gramian(self) -> Tensor:
        pieces = [block for block in self._blocks if block is not None] if self._whole is None else [self._whole]
        return products(pieces, self._active)

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        if self._whole is not None:
            flat = combine(weights, self._whole)
            parts = [flat[part] for part in columns(self._parameters)]
            return [None if block is None else part for block, part in zip(self._blocks, parts, strict=True)]
        return [None if block is None else combine(weights, block) for block in self._blocks]

    def gramians(self) -> Tensor:
        parts = [[block for i in group if (block := self._blocks[i]) is not None] for group in self._groups]
        return torch.stack([products(part, self._active) for part in parts])

    def directions(self, weights: Tensor) -> list[Tensor | None]:
        found: list[Tensor | None] = [None] * len(self._blocks)
        for own, group in zip(weights, self._groups, strict=True):
            for i in group:
                block = self._blocks[i]
                found[i] = None if block is None else combine(own, block)
        return found

    def jacobian(self) -> Tensor:
        if self._whole is None:
            self._whole = self._join()
        if self._whole.dtype in (torch.float16, torch.bfloat16):
            self._whole = self._whole.float()
        return self._whole

    def _join(self) -> Tensor:
        # Each block is dropped as soon as it is copied, so the Jacobian never exists twice.
        parts = columns(self._parameters)
        whole = empty_rows(len(self._active), self._parameters)
        for position, part in enumerate(parts):
            block = self._blocks[position]
            if block is not None:
                whole[:, part] = block
                self._blocks[position] = None
        return whole


def empty_rows(count: int, parameters: Sequence[Tensor], *, inner: bool = False) -> Tensor:
    """Return zeros ``[count, P]`` in the narrowest dtype that holds every parameter's gradient without loss.

    Args:
        count: how many rows.
        parameters: whose columns.
        inner: for inner products of rows alone, and for nobody else to see: it may not be contiguous.
    """
    dtype = parameters[0].dtype
    for parameter in parameters[1:]:
        dtype = torch.promote_types(dtype, parameter.dtype)
    width = sum(parameter.numel() for parameter in parameters)
    device = parameters[0].device
    return rows_apart(count, width, dtype, device, blank=True) if inner else zeros(count, width, dtype, device)


def combine(weights: Tensor, rows: Tensor) -> Tensor:
    """Return ``weights [T] @ rows [T, n]``, leaving out rows of weight 0: zero times infinity would be NaN."""
    used = weights != 0
    if not bool(used.all()):
        chosen = used.to(rows.device).nonzero().squeeze(1)
        if not len(chosen):
            return rows.new_zeros(rows.shape[1])
        weights, rows = weights[chosen.to(weights.device)], rows[chosen]
    if rows.dtype in (torch.float16, torch.bfloat16):
        return weights.to(rows.device, torch.float32) @ rows.float()
    return weights.to(rows) @ rows
