"""Heavy imports, quicker."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def spared_collection() -> Iterator[None]:
    """Import without garbage collection, and keep what was imported out of every later one.

    PyTorch makes half a million objects that live as long as the process. The collector would look through them dozens
    of times on the way, and once more when the process ends: a third of the CPU time of importing it.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
