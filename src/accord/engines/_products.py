"""Inner products of gradients that survive any scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

# Below this squared norm, float32 products of single entries may already have been flushed to zero.
_TINY = 1e-20
# Columns multiplied at a time on the CPU: T of them stay in its cache, and their sum is kept in float64.
COLUMNS = 2**14
# From so many rows on, the quarter of the Gramian that its symmetry gives is worth a second, smaller product.
_HALVED = 64


def wide(device: torch.device) -> torch.device:
    """Return where float64 arithmetic on T numbers is done: ``device``, or the CPU where it has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


class Sums:
    """Gramians that blocks of columns are added to: one per group, or one for all where there are no groups.

    Args:
        tasks: T.
        groups: positions of parameters by group.
        device: where the losses are.
    """

    def __init__(self, tasks: int, groups: Sequence[Sequence[int]], device: torch.device) -> None:
        self._group = {position: g for g, group in enumerate(groups) for position in group}
        self.each = torch.zeros(max(1, len(groups)), tasks, tasks, dtype=torch.float64, device=wide(device))

    def add(self, position: int, block: Tensor, tasks: Sequence[int] | None = None) -> None:
        """Add ``block``, the inner products of ``tasks`` (all when ``None``) over the parameter at ``position``."""
        total, block = self.each[self._group.get(position, 0)], block.to(self.each.device)
        if tasks is None:
            total += block
        else:
            where = torch.tensor(tasks, device=total.device)
            total[where[:, None], where] += block


def products(blocks: Iterable[Tensor], active: Tensor | None = None) -> Tensor:
    """Return the Gramian ``[T, T]`` (float64) of the Jacobian whose columns are ``blocks``, each ``[T, n]``.

    Entries are multiplied in float32 (float64 for float64 blocks) and summed over blocks in float64. When a squared
    norm leaves the range where that is exact, rows are first divided by powers of two, so gradients of norm ``1e-30``
    or ``1e20`` count like any others. The rows and columns of a task with a non-finite gradient are not finite.

    Args:
        blocks: ``[T, n]`` each, any floating dtype; gone through up to three times, one block at a time.
        active: ``[T]`` bool, all when ``None``; the rows of other tasks must be zero.
    """
    if active is None:
        first = next(iter(blocks))
        active = torch.ones(len(first), dtype=torch.bool, device=first.device)
    gramian = _sum(blocks, active, None)
    if in_range(gramian.diagonal(), active):
        return gramian
    scale = _row_scale(blocks, active)
    return _sum(blocks, active, scale) * scale[:, None] * scale


def in_range(squares: Tensor, active: Tensor) -> bool:
    """Whether the squared norms ``[T]`` of all ``active`` tasks are such that products in float32 are exact."""
    ordinary = (squares > _TINY) & squares.isfinite()
    return bool((ordinary | ~active.to(squares.device)).all())


def _sum(blocks: Iterable[Tensor], active: Tensor, scale: Tensor | None) -> Tensor:
    total = torch.zeros(len(active), len(active), dtype=torch.float64, device=wide(active.device))
    for block in blocks:
        rows = block.float() if block.dtype in (torch.float16, torch.bfloat16) else block
        if scale is not None:
            rows = rows / scale.to(rows)[:, None]
        total += _square(rows).to(total)
    return total


def _square(rows: Tensor) -> Tensor:
    """Return ``rows @ rows.T``."""
    half = len(rows) // 2
    if len(rows) < _HALVED or rows.device.type != "cpu":
        return _times(rows, rows)
    left, corner = _times(rows, rows[:half]), _times(rows[half:], rows[half:])
    return torch.cat([left, torch.cat([left[half:].T, corner])], dim=1)


def _times(left: Tensor, right: Tensor) -> Tensor:
    """Return ``left @ right.T``."""
    pieces = left.shape[1] // COLUMNS if left.device.type == "cpu" else 0
    if pieces < 2:
        return left @ right.T
    # One product of two long, flat matrices runs at a third of this speed.
    cut, other = (one[:, : pieces * COLUMNS].unflatten(1, (pieces, COLUMNS)).transpose(0, 1) for one in (left, right))
    rest = slice(pieces * COLUMNS, None)
    return torch.bmm(cut, other.mT).sum(0, dtype=torch.float64) + left[:, rest] @ right[:, rest].T


def _row_scale(blocks: Iterable[Tensor], active: Tensor) -> Tensor:
    largest = torch.zeros(len(active), dtype=torch.float64, device=wide(active.device))
    for block in blocks:
        if block.shape[1]:
            largest = torch.maximum(largest, block.abs().amax(dim=1).to(largest))
    usable = largest.isfinite() & (largest > 0)
    # A power of two changes no digit of a row; float32 has none beyond these bounds.
    exponent = torch.frexp(torch.where(usable, largest, 1.0)).exponent.clamp(-120, 126)
    return torch.ldexp(torch.ones_like(largest), exponent)
