"""Memory for a whole Jacobian, and for the gradients on the way to it."""

from __future__ import annotations

import mmap
import sys
from collections.abc import Sequence
from contextlib import suppress

import torch
from torch import Tensor

# Below this, getting memory costs next to nothing.
_LARGE = 2**24
# Numbers between rows, if these would start at the same place of a page: five lines of a processor's cache.
_GAP = 80
_PAGE = 2**12
# The largest block that the GNU C library learns from, less its own bookkeeping.
_LEARNT = 2**25 - 2**16
# What the allocator keeps of freed memory after :func:`keep_freed`: twice that block.
KEPT_FREED = 2**26


def zeros(rows: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return zeros ``[rows, width]``; on Linux's CPUs in pages of 2 MiB where there are many of them.

    A Jacobian is written once and thrown away with the step, so that in ordinary pages of 4 KiB half the time of
    writing it goes to the kernel, which hands them over one by one.
    """
    size = rows * width * dtype.itemsize
    if device.type != "cpu" or size < _LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return torch.zeros(rows, width, dtype=dtype, device=device)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(OSError):  # a kernel built without them; the memory is as good
        memory.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(memory, dtype=dtype).view(rows, width)


def rows_apart(rows: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return zeros ``[rows, width]`` whose rows do not compete for the same lines of a processor's cache.

    A cache keeps what lies a power of two apart in the same few places: 12 or 16 of them, fewer than there are tasks.
    Inner products of rows of a power of two, as the weights of most layers are, take twice as long then. So such rows
    are followed by a gap, and the result is not contiguous; it can be viewed by row all the same.
    """
    gap = _GAP if device.type == "cpu" and rows > 1 and width and width * dtype.itemsize % _PAGE == 0 else 0
    return zeros(rows, width + gap, dtype, device)[:, :width]


def stack_apart(rows: Sequence[Tensor]) -> Tensor:
    """Return ``rows``, each ``[width]``, one below the other as :func:`rows_apart` lays them out."""
    first = rows[0]
    return torch.stack(list(rows), out=rows_apart(len(rows), len(first), first.dtype, first.device))


def keep_freed() -> None:
    """Let Linux's allocator keep up to 64 MiB of what a backward frees, for the next backward of the same step.

    The GNU C library returns free memory at the end of its heap as soon as there is twice as much of it as the largest
    block that it has ever taken back from a program (``M_TRIM_THRESHOLD`` in ``mallopt(3)``). Models whose
    activations are of a few MiB each then wait for the kernel to hand over the same pages, zeroed, once per task: a
    fifth of a step on a residual network. One block of the largest size that counts teaches it otherwise.

    Cost: microseconds; the block's pages are never touched. Where people have set the limits themselves, or with other
    allocators, nothing changes.
    """
    if sys.platform == "linux":
        torch.empty(_LEARNT, dtype=torch.uint8)
