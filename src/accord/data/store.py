"""Small Parquet files written all or nothing: histories, predictions, anything a run keeps."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from accord.data.engine import arrow
from accord.errors import DataError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that takes its place on success and vanishes on any error.

    The bytes are flushed to the disk before the rename, so after a power cut either the old file or the new one is
    there, never half of one.
    """
    target = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        # mkstemp makes private files; the result should be as readable as any other file of this user.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def write_parquet(path: str | Path, columns: Mapping[str, Any]) -> None:
    """Write equally long ``columns`` (arrays or lists) to ``path`` atomically, compressed with zstd.

    Raises:
        DataError: the columns differ in length.
    """
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns of one table must be equally long, but these are {lengths}")
    table = arrow().table(dict(columns))
    with replacing(path) as temporary:
        arrow("parquet").write_table(table, temporary, compression="zstd")


def read_parquet(path: str | Path) -> dict[str, np.ndarray]:
    """Read every column of a Parquet file as a NumPy array (strings as objects).

    Raises:
        DataError: the file is missing, truncated or not Parquet.
    """
    try:
        table = arrow("parquet").read_table(path)
    except (OSError, arrow().ArrowException) as error:
        raise DataError(f"cannot read {path} as Parquet: {error}") from error
    return {name: table[name].to_numpy() for name in table.column_names}


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
