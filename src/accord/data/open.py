"""One door to every kind of table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from accord.data.sources.database import connected, database_file, is_connection, is_query, over_files
from accord.data.sources.delimited import delimited
from accord.data.sources.files import DATABASE, IPC, PARQUET, TEXT, columnar, expand, suffix
from accord.data.sources.frames import frame
from accord.data.table import Table
from accord.data.values import MISSING
from accord.errors import DataError

WIDEST_TITLE = 120


def open_table(
    source: Any,
    *,
    query: str | None = None,
    test: Any = None,
    missing: Iterable[str] = MISSING,
    encoding: str | None = None,
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
) -> Table:
    """Open a table without reading more than its metadata where the format allows it.

    Args:
        source: a path (Parquet, CSV/TSV also compressed, Arrow IPC/Feather; a file, a folder or a glob), the name of a
            data set (``"census-income"``: its training rows, with the given test rows as ``table.test``), a SQL query
            that names files, a SQLite or DuckDB file, a DBAPI connection, a pyarrow ``Table``, ``RecordBatchReader``
            or ``Dataset``, a pandas or polars frame (also lazy), or a mapping of names to arrays. A :class:`Table` is
            returned as it is (with ``test`` beside it).
        query: SQL; for a database or connection in its own dialect, for files in DuckDB's, where ``FROM data`` means
            ``source``.
        test: the given test rows, anything ``source`` may be; becomes ``table.test``.
        missing: texts that count as missing besides null and NaN.
        encoding: of delimited text; found out when ``None``.
        delimiter: of delimited text; found out when ``None``.
        names: column names of delimited text without a header line.

    Raises:
        DataError: nothing there, damaged, ragged, empty, or of a kind that cannot be read.
        MissingExtraError: the engine for this kind of source is not installed.
    """
    marks = frozenset(missing)
    beside = None if test is None else open_table(test, missing=marks, encoding=encoding, delimiter=delimiter)
    if isinstance(source, Table):
        return source if beside is None else source.beside(beside)
    if isinstance(source, str) and not is_query(source) and (builtin := _builtin(source, marks)) is not None:
        return builtin if beside is None else builtin.beside(beside)
    text = {"encoding": encoding, "delimiter": delimiter, "names": names}
    pieces = _pieces(source, query, text)
    return Table(pieces, source=_title(source, query), missing=marks, test=beside)


def _pieces(source: Any, query: str | None, text: dict[str, Any]) -> list[Any]:
    if isinstance(source, str) and is_query(source):
        return [over_files(source)]
    if isinstance(source, str | Path):
        return _from_path(source, query, text)
    if is_connection(source):
        return [connected(source, query)]
    dataset = frame(source)
    if dataset is None:
        raise DataError(
            f"cannot read a table from {type(source).__module__}.{type(source).__name__}; "
            "give a path, a frame, an Arrow table, a mapping of arrays, a query or a connection"
        )
    return [dataset]


def _from_path(source: str | Path, query: str | None, text: dict[str, Any]) -> list[Any]:
    files = expand(source)
    kind = suffix(files[0])
    if kind in DATABASE:
        return [database_file(files[0], query)]
    if query is not None:
        return [over_files(query, Path(source))]
    if kind in PARQUET | IPC:
        return [columnar(files)]
    if kind in TEXT:
        return [delimited(file, **text) for file in files]
    known = ", ".join(sorted(PARQUET | IPC | TEXT | DATABASE))
    raise DataError(f"{files[0]}: unknown kind of file {kind!r}; known are {known} (text also .gz, .bz2, .zst, .lz4)")


def _builtin(name: str, missing: frozenset[str]) -> Table | None:
    from accord.data import datasets  # the registry opens tables itself

    return datasets.load(name, missing=missing) if name in datasets.DATASETS else None


def _title(source: Any, query: str | None) -> str:
    if isinstance(source, str | Path):
        text = " ".join(str(source).split())
        if len(text) <= WIDEST_TITLE:
            return text
        # A query is known by its beginning, a path by its end.
        return f"{text[:WIDEST_TITLE]}..." if is_query(text) else f"...{text[-WIDEST_TITLE:]}"
    return f"{type(source).__name__}({query[:40]!r})" if query else type(source).__name__
