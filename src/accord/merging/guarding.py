"""A merge in progress: nobody else writes into its folder, and what it reads stays as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from accord.errors import DataError, RunError
from accord.merging.checkpoint import Checkpoint

# Size and time of the last change of each file that is read.
Stamps = Mapping[Path, tuple[int, int]]


@contextmanager
def alone(out: Path) -> Iterator[None]:
    """Hold the folder ``out`` against merges in other threads and processes, until this one ends in whatever way.

    Systems and network disks that cannot lock a folder go without.

    Raises:
        RunError: another merge is writing into it.
    """
    handle = os.open(out, os.O_RDONLY) if os.name == "posix" else -1
    try:
        if handle >= 0 and not _locked(handle):
            raise RunError(f"another merge is writing {out} at this moment; wait for it, or choose another folder")
        yield
    finally:
        if handle >= 0:
            os.close(handle)  # which also gives the lock back


def _locked(handle: int) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def stamps(checkpoints: Sequence[Mapping[str, Tensor]]) -> dict[Path, tuple[int, int]]:
    """Return the :data:`Stamps` of the checkpoints that lie in files."""
    paths = (file.path for each in checkpoints if isinstance(each, Checkpoint) for file in each.files)
    return {path: _stamp(path.stat()) for path in paths}


def check_unchanged(before: Stamps) -> None:
    """Raise a :class:`DataError` that names a file whose stamp is no longer what it was.

    Tensors are views of mapped files: of one that is written anew meanwhile, a result would hold a mixture, and reading
    beyond the end of one that is cut short would end the process.
    """
    for path, stamp in before.items():
        try:
            same = _stamp(path.stat()) == stamp
        except OSError:
            same = False
        if not same:
            raise DataError(
                f"{path} was changed or cut short while it was being merged; run the merge again when it is whole"
            )


def _stamp(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_size, stat.st_mtime_ns
