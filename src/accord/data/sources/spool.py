"""One pass to many: keep a stream that can be read once, in memory while small, else in a temporary Parquet file.

Everything above reads a table several times (infer, fit, transform). CSV would be parsed each time and a database
cursor cannot be rewound at all.
"""

from __future__ import annotations

import tempfile
import weakref
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from accord.data.engine import arrow
from accord.data.sources.files import parquet_dataset

# Above this many bytes in Arrow's memory a stream goes to disk, where Parquet takes about a tenth of it.
MEMORY_LIMIT = 512 * 2**20


def spool(batches: Iterable[Any], schema: Any, *, limit: int = MEMORY_LIMIT) -> Any:
    """Return a dataset with the rows of ``batches`` (record batches of ``schema``), readable many times.

    The temporary file, if there is one, lives in the directory that ``TMPDIR`` names and is removed with the dataset.
    """
    stream = iter(batches)
    held: list[Any] = []
    size = 0
    for batch in stream:
        held.append(batch)
        size += batch.nbytes
        if size > limit:
            return _spill(chain(held, stream), schema)
    return arrow("dataset").dataset(arrow().Table.from_batches(held, schema))


def _spill(batches: Iterator[Any], schema: Any) -> Any:
    folder = tempfile.TemporaryDirectory(prefix="accord-", ignore_cleanup_errors=True)
    path = Path(folder.name) / "spool.parquet"
    # Level 1 writes as fast as the batches come; the file is read a few times and thrown away.
    with arrow("parquet").ParquetWriter(path, schema, compression="zstd", compression_level=1) as writer:
        for batch in batches:
            writer.write_batch(batch, row_group_size=131_072)
    dataset = parquet_dataset([path])
    weakref.finalize(dataset, folder.cleanup)
    return dataset
