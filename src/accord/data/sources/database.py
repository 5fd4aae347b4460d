"""SQL: a query over files, a DuckDB or SQLite database file, or anyone's own DBAPI connection."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from accord.data.engine import arrow, optional
from accord.data.sources.spool import spool
from accord.errors import DataError

_FETCH_ROWS = 65_536


def over_files(query: str, path: Path | None = None) -> Any:
    """Return the rows of a DuckDB ``query``; files are named in it (``FROM 'data/*.parquet'``).

    With ``path`` the query may also say ``FROM data`` for that file, folder or glob.
    """
    duckdb = optional("duckdb", "SQL over files", "tables")
    with closing(duckdb.connect()) as connection:
        if path is not None:
            connection.execute(f"CREATE VIEW data AS SELECT * FROM {_scan(path)}")
        return _duckdb_rows(connection, query, duckdb)


def database_file(path: Path, query: str | None) -> Any:
    """Return the rows of ``query`` (the only table when ``None``) of a SQLite or DuckDB file, opened read-only.

    SQLite goes through the standard library: DuckDB would have to download its extension first.
    """
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"SQLite format 3"):
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return connected(connection, query or _only(_sqlite_tables(connection), path))
    if start[8:12] == b"DUCK":
        duckdb = optional("duckdb", "DuckDB files", "tables")
        with closing(duckdb.connect(str(path), read_only=True)) as connection:
            tables = [row[0] for row in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
            return _duckdb_rows(connection, query or _only(tables, path), duckdb)
    raise DataError(f"{path} is neither a SQLite nor a DuckDB database file")


def connected(connection: Any, query: str | None) -> Any:
    """Return the rows of ``query`` on a DBAPI 2 ``connection`` (a DuckDB connection too), which stays open."""
    if not query:
        raise DataError("a database connection needs a query: open_table(connection, query='SELECT ...')")
    if type(connection).__module__.partition(".")[0] in ("duckdb", "_duckdb"):
        return _duckdb_rows(connection, query, optional("duckdb", "DuckDB connections", "tables"))
    with closing(connection.cursor()) as cursor:
        try:
            cursor.execute(query)
        except Exception as error:  # every driver has its own classes; DBAPI fixes their names, not a base
            raise DataError(f"the query failed: {error} (query: {query})") from error
        if cursor.description is None:
            raise DataError(f"the query returns no rows: {query}")
        return _cursor_rows(cursor)


def is_connection(source: Any) -> bool:
    """Whether ``source`` looks like a DBAPI connection."""
    return hasattr(source, "cursor") and hasattr(source, "commit")


def is_query(text: str) -> bool:
    """Whether ``text`` is a SQL query rather than a path or a name."""
    return text.lstrip().lower().startswith(("select ", "select\n", "with ", "from "))


def _duckdb_rows(connection: Any, query: str, duckdb: Any) -> Any:
    try:
        result = connection.sql(query)
        if result is None:
            raise DataError(f"the query returns no rows: {query}")
        # DuckDB renamed this method in 1.4; both names give a streaming reader.
        stream = result.to_arrow_reader if hasattr(result, "to_arrow_reader") else result.fetch_arrow_reader
        reader = stream(_FETCH_ROWS)
        return spool(reader, reader.schema)
    except (duckdb.Error, arrow().ArrowException) as error:
        raise DataError(f"the query failed: {str(error).strip()} (query: {query})") from error


def _cursor_rows(cursor: Any) -> Any:
    pa = arrow()
    names = [column[0] for column in cursor.description]
    batches = list(_column_batches(cursor))
    # SQLite is typed by cell, not by column, so types are known only when every row has been seen.
    arrays = [_unified([batch[i] for batch in batches]) for i in range(len(names))]
    return arrow("dataset").dataset(pa.Table.from_arrays(arrays, names=names))


def _column_batches(cursor: Any) -> Iterator[list[Any]]:
    width = len(cursor.description)
    while rows := cursor.fetchmany(_FETCH_ROWS):
        yield [_array([row[i] for row in rows]) for i in range(width)]


def _array(values: list[Any]) -> Any:
    pa = arrow()
    try:
        array = pa.array(values)
    except pa.ArrowException:
        array = pa.array([None if value is None else str(value) for value in values])
    return array


def _unified(chunks: list[Any]) -> Any:
    pa = arrow()
    if not chunks:
        return pa.chunked_array([], pa.string())
    kinds = {chunk.type for chunk in chunks if not pa.types.is_null(chunk.type)}
    if len(kinds) <= 1:
        kind = next(iter(kinds), pa.null())
    else:
        numeric = all(pa.types.is_integer(k) or pa.types.is_floating(k) for k in kinds)
        kind = pa.float64() if numeric else pa.string()
    return pa.chunked_array([chunk.cast(kind) for chunk in chunks], kind)


def _sqlite_tables(connection: sqlite3.Connection) -> list[str]:
    try:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    except sqlite3.Error as error:
        raise DataError(f"the SQLite file is damaged: {error}") from error
    return [row[0] for row in rows if not row[0].startswith("sqlite_")]


def _only(tables: list[str], path: Path) -> str:
    if len(tables) != 1:
        held = ", ".join(sorted(tables)) or "none"
        raise DataError(f"{path} holds the tables {held}; say which: query='SELECT * FROM ...'")
    return f'SELECT * FROM "{tables[0]}"'


def _scan(path: Path) -> str:
    quoted = "'" + str(path).replace("'", "''") + "'"
    return quoted if not path.is_dir() else "'" + str(path / "**" / "*.parquet").replace("'", "''") + "'"
