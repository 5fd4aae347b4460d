"""Large blocks of memory, kept between the steps that ask for the same ones again."""

from __future__ import annotations

import mmap
import weakref
from collections import deque
from contextlib import suppress

# Bytes that are kept while nobody uses them.
KEPT = 2**30

# The last used ones at the end. It is the memory of a process, as the heap is: what is in it means nothing to anyone.
_spare: deque[mmap.mmap] = deque()


def block(size: int) -> tuple[memoryview, bool]:
    """Return ``size`` bytes in pages of 2 MiB where the kernel has them, and whether they are 0.

    The kernel hands over a page by filling it with zeros, and a host that lends memory to virtual machines may have
    taken it back in the meantime: of 100 MiB, 10 ms become up to 200. So a block that nobody refers to any more waits
    for the next call with its size. Steps of training ask for the same sizes over and over, and each needs all of it
    at its peak, which stays what it is; between steps a process holds up to ``KEPT`` bytes more.
    """
    memory = _kept(size)
    blank = memory is None
    if memory is None:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        with suppress(OSError):  # a kernel built without them; the memory is as good
            memory.madvise(mmap.MADV_HUGEPAGE)
    view = memoryview(memory)
    weakref.finalize(view, _keep, memory).atexit = False
    return view, blank


def drop() -> None:
    """Give back what is kept, where memory is about to be short."""
    _spare.clear()


# A block may come back at any time, even in the middle of these lines, in any thread: there is no lock to wait for, and
# at worst somebody does not find what another one holds just then.
def _kept(size: int) -> mmap.mmap | None:
    for _ in range(len(_spare)):
        with suppress(IndexError):
            memory = _spare.pop()
            if len(memory) == size:
                return memory
            _spare.appendleft(memory)
    return None


def _keep(memory: mmap.mmap) -> None:
    _spare.append(memory)
    with suppress(IndexError, RuntimeError):
        while sum(map(len, _spare)) > KEPT:
            _spare.popleft()
