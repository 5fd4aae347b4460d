"""A merge in progress: nobody else writes into its folder, and what it reads stays as it was."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from torch import Tensor

from accord.errors import DataError
from accord.holding import holding
from accord.merging.checkpoint import Checkpoint

# Size and time of the last change of each file that is read.
Stamps = Mapping[Path, tuple[int, int]]


def alone(out: Path) -> AbstractContextManager[None]:
    """Hold the folder ``out`` against other merges; see :func:`accord.holding.holding`."""
    return holding(out, f"another merge is writing {out} at this moment; wait for it, or choose another folder")


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
