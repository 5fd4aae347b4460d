"""Memory for a whole Jacobian."""

from __future__ import annotations

import mmap
from contextlib import suppress

import torch
from torch import Tensor

# Below this, getting memory costs next to nothing.
_LARGE = 2**24


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
