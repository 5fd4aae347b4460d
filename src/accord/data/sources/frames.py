"""Tables that are in memory already: Arrow, pandas, polars, NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accord.data.engine import arrow
from accord.data.sources.spool import spool
from accord.errors import DataError


def frame(source: Any) -> Any | None:
    """Return an Arrow dataset over an Arrow, pandas or polars object or a mapping of arrays; ``None`` for others."""
    if isinstance(source, Mapping):
        return _dataset(_from_arrays(source))
    origin = type(source).__module__.partition(".")[0]
    reader = {"pyarrow": _from_arrow, "pandas": _from_pandas, "polars": _from_polars}.get(origin)
    if reader is not None:
        return reader(source)
    if hasattr(source, "__arrow_c_stream__"):
        return _from_stream(arrow().RecordBatchReader.from_stream(source))
    return None


def _dataset(table: Any) -> Any:
    return arrow("dataset").dataset(table)


def _from_arrays(columns: Mapping[Any, Any]) -> Any:
    pa = arrow()
    arrays = {str(name): _column(str(name), values) for name, values in columns.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"columns of one table must be equally long, but these are {lengths}")
    return pa.table(arrays)


def _column(name: str, values: Any) -> Any:
    pa = arrow()
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise DataError(f"column {name!r} has shape {list(values.shape)}; a column has one value per row")
    try:
        return pa.array(values, from_pandas=True)
    except (pa.ArrowException, TypeError):
        # Mixed Python objects: keep them as text, as a CSV file would.
        return pa.array([None if v is None or v != v else str(v) for v in values])


def _from_arrow(source: Any) -> Any | None:
    pa = arrow()
    ds = arrow("dataset")
    if isinstance(source, ds.Dataset):
        return source
    if isinstance(source, pa.RecordBatch):
        return _dataset(pa.Table.from_batches([source]))
    if isinstance(source, pa.RecordBatchReader):
        return _from_stream(source)
    return _dataset(source) if isinstance(source, pa.Table) else None


def _from_stream(reader: Any) -> Any:
    return spool(reader, reader.schema)


def _from_pandas(source: Any) -> Any | None:
    if not hasattr(source, "columns"):
        return None
    pa = arrow()
    named = [str(name) for name in source.columns]
    if len(set(named)) < len(named):
        twice = sorted({name for name in named if named.count(name) > 1})
        raise DataError(f"the pandas frame has several columns called {', '.join(map(repr, twice))}")
    try:
        return _dataset(pa.Table.from_pandas(source, preserve_index=False))
    except (pa.ArrowException, TypeError):
        return _dataset(_from_arrays({name: source[name] for name in source.columns}))


def _from_polars(source: Any) -> Any | None:
    frame = source.collect(engine="streaming") if hasattr(source, "collect") else source
    if not hasattr(frame, "to_arrow") or not hasattr(frame, "columns"):
        return None
    return _dataset(frame.to_arrow())
