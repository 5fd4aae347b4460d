"""Memory for a whole Jacobian, and for the gradients on the way to it."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from accord.engines._blocks import block, drop

# Below this, getting memory costs next to nothing.
_LARGE = 2**24
# Numbers between rows, if these would start at the same place of a page: five lines of a processor's cache.
_GAP = 80
_PAGE = 2**12
# Names of malloc.h, the largest threshold that it takes for blocks outside the heap, and what is kept of freed ones.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_BLOCK, _KEPT = 2**25, 2**28


def zeros(rows: int, width: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return zeros ``[rows, width]``; on Linux's CPUs in pages of 2 MiB where there are many of them.

    A Jacobian is written once and thrown away with the step, so that in ordinary pages of 4 KiB half the time of
    writing it goes to the kernel, which hands them over one by one.
    """
    return _large(rows, width, dtype, device, blank=True)


def rows_apart(rows: int, width: int, dtype: torch.dtype, device: torch.device, *, blank: bool = False) -> Tensor:
    """Return memory ``[rows, width]`` whose rows do not compete for the same lines of a processor's cache.

    A cache keeps what lies a power of two apart in the same few places: 12 or 16 of them, fewer than there are tasks.
    Inner products of rows of a power of two, as the weights of most layers are, take twice as long then. So such rows
    are followed by a gap, and the result is not contiguous; it can be viewed by row all the same.

    Args:
        rows: how many.
        width: numbers in each.
        dtype: of the numbers.
        device: where they are.
        blank: whether they are 0; anything otherwise, for what is written whole.
    """
    gap = _GAP if device.type == "cpu" and rows > 1 and width and width * dtype.itemsize % _PAGE == 0 else 0
    return _large(rows, width + gap, dtype, device, blank=blank)[:, :width]


def _large(rows: int, width: int, dtype: torch.dtype, device: torch.device, *, blank: bool) -> Tensor:
    size = rows * width * dtype.itemsize
    if device.type != "cpu" or size < _LARGE or not hasattr(mmap, "MADV_HUGEPAGE"):
        return (torch.zeros if blank else torch.empty)(rows, width, dtype=dtype, device=device)
    memory, zero = block(size)
    found = torch.frombuffer(memory, dtype=dtype).view(rows, width)
    return found.zero_() if blank and not zero else found


def stack_apart(rows: Sequence[Tensor]) -> Tensor:
    """Return ``rows``, each ``[width]``, one below the other as :func:`rows_apart` lays them out."""
    first = rows[0]
    return torch.stack(list(rows), out=rows_apart(len(rows), len(first), first.dtype, first.device))


@cache
def keep_freed() -> None:
    """Let Linux's allocator keep up to 256 MiB of what a backward frees, for the next backward of the same step.

    The GNU C library returns free memory at the end of its heap as soon as there is more of it than
    ``M_TRIM_THRESHOLD`` (``mallopt(3)``), by itself twice the largest block that a program has freed, 64 MiB at most.
    Backwards then wait for the kernel to hand over the same pages, zeroed, once per task, and find none of them in the
    processor's cache: 7 to 11 % of a step of eight tasks on a transformer, a fifth on a residual network.

    Done once in a process, which may hold up to 256 MiB more than it uses between steps, its peak is the same. Where
    people have set limits of ``malloc`` in the environment, or with other C libraries, nothing changes.
    """
    if sys.platform != "linux" or any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ):
        return
    limit = getattr(ctypes.CDLL(None), "mallopt", None)
    if limit is not None:
        limit(_MMAP_THRESHOLD, _LARGEST_BLOCK)  # fixed by the next line otherwise, at whatever it is now
        limit(_TRIM_THRESHOLD, _KEPT)


def release_memory() -> None:
    """Return all memory that nobody uses to the system: what engines keep between steps, and holes in the heap.

    Between steps, engines keep up to 1 GiB of what Jacobians were in, for the next step, which takes as little as half
    of the time for it on virtual machines; call this when training is over and the process goes on. And, torn apart by
    what lies between its holes, a heap grows to several times of what is used of it. Costs some milliseconds for a
    hundred MiB, which have to be asked for again. Where the system has no such habits, nothing happens.
    """
    drop()
    trim = _malloc_trim()
    if trim is not None:
        trim(0)


@cache
def _malloc_trim() -> Callable[[int], int] | None:
    return getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
