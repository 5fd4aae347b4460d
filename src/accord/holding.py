"""One process at a time in a directory of runs, or of a result."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from accord.errors import RunError

WAY_OUT = "wait until it is done, or stop it and go on with --resume"


@contextmanager
def holding(directory: Path, busy: str | None = None, *, shared: bool = False) -> Iterator[None]:
    """Keep other processes and threads from working in ``directory`` until this ends, in whatever way it does.

    Two that make the same would do everything twice, and the first to finish would sweep away the checkpoints of
    the other. Systems and network disks that cannot lock a folder go without.

    Args:
        directory: exists.
        busy: the message where another is at work in it.
        shared: others that share it may join, such as machines that agree over a storage.

    Raises:
        RunError: another process is at work in it.
    """
    handle = os.open(directory, os.O_RDONLY) if os.name == "posix" else -1
    try:
        if handle >= 0 and not _locked(handle, shared):
            raise RunError(busy or f"another process is at work in {directory} at this moment: {WAY_OUT}")
        yield
    finally:
        if handle >= 0:
            os.close(handle)  # which also gives the lock back


def _locked(handle: int, shared: bool) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True
