"""Inner products of gradients that survive any scale."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

# Below this squared norm, float32 products of single entries may already have been flushed to zero.
_TINY = 1e-20


def wide(device: torch.device) -> torch.device:
    """Return where float64 arithmetic on T numbers is done: ``device``, or the CPU where it has no float64."""
    return torch.device("cpu") if device.type == "mps" else device


def products(blocks: Sequence[Tensor], active: Tensor) -> Tensor:
    """Return the Gramian ``[T, T]`` (float64) of the Jacobian whose columns are ``blocks``, each ``[T, n]``.

    Entries are multiplied in float32 (float64 for float64 blocks) and summed over blocks in float64. When a squared
    norm leaves the range where that is exact, rows are first divided by powers of two, so gradients of norm ``1e-30``
    or ``1e20`` count like any others. The rows and columns of a task with a non-finite gradient are not finite.

    Args:
        blocks: ``[T, n]`` each, any floating dtype.
        active: ``[T]`` bool; the rows of other tasks must be zero.
    """
    gramian = _sum(blocks, active, None)
    squares = gramian.diagonal()
    ordinary = (squares > _TINY) & squares.isfinite()
    if bool((ordinary | ~active.to(squares.device)).all()):
        return gramian
    scale = _row_scale(blocks, active)
    return _sum(blocks, active, scale) * scale[:, None] * scale


def _sum(blocks: Sequence[Tensor], active: Tensor, scale: Tensor | None) -> Tensor:
    total = torch.zeros(len(active), len(active), dtype=torch.float64, device=wide(active.device))
    for block in blocks:
        rows = block.float() if block.dtype in (torch.float16, torch.bfloat16) else block
        if scale is not None:
            rows = rows / scale.to(rows)[:, None]
        total += (rows @ rows.T).to(total)
    return total


def _row_scale(blocks: Sequence[Tensor], active: Tensor) -> Tensor:
    largest = torch.zeros(len(active), dtype=torch.float64, device=wide(active.device))
    for block in blocks:
        if block.shape[1]:
            largest = torch.maximum(largest, block.abs().amax(dim=1).to(largest))
    usable = largest.isfinite() & (largest > 0)
    # A power of two changes no digit of a row; float32 has none beyond these bounds.
    exponent = torch.frexp(torch.where(usable, largest, 1.0)).exponent.clamp(-120, 126)
    return torch.ldexp(torch.ones_like(largest), exponent)
