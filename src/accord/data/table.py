"""A table: named, typed columns read in batches from memory or from files, never more of it than is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from accord.data.engine import arrow
from accord.data.values import MISSING, BadCell, codes, numbers, value_type
from accord.errors import DataError, suggest

BATCH_ROWS = 131_072


class Table:
    """Columns of one length, over one or several Arrow datasets read in order.

    Nothing is read when a table is made except the metadata; each method streams the columns it needs. Instances are
    immutable.

    Attributes:
        names: column names, in file order.
        num_rows: number of rows.
        types: the stored type of each column, e.g. ``{"age": "int8", "sex": "string"}``.
        source: where it came from, for messages.
        missing: texts that count as missing besides null and NaN.
        parts: row ranges of given parts (``{"train": range(...), "test": range(...)}``), empty when there are none.
        test: the given test rows as a table of their own, when the source has them.
        excluded: columns that are known to be no features, such as row weights, each with the reason.
    """

    def __init__(
        self,
        pieces: Sequence[Any],
        *,
        source: str,
        missing: frozenset[str] = MISSING,
        parts: Mapping[str, range] | None = None,
        test: Table | None = None,
        excluded: Mapping[str, str] | None = None,
    ) -> None:
        if not pieces:
            raise DataError(f"{source}: no table was given")
        self._pieces = tuple(pieces)
        self.source = source
        self.missing = missing
        self.parts: dict[str, range] = dict(parts or {})
        self.test = test
        self.excluded: dict[str, str] = dict(excluded or {})
        schema = self._pieces[0].schema
        self.names: tuple[str, ...] = tuple(schema.names)
        self.types: dict[str, str] = {f.name: str(value_type(f.type)) for f in schema}
        self.nested: frozenset[str] = frozenset(f.name for f in schema if arrow().types.is_nested(value_type(f.type)))
        self._check_names()
        with reading(source):
            self._counts = tuple(int(piece.count_rows()) for piece in self._pieces)
        self.num_rows: int = sum(self._counts)

    def __len__(self) -> int:
        return self.num_rows

    def __repr__(self) -> str:
        return f"Table({self.source!r}, {self.num_rows:,} rows, {len(self.names)} columns)"

    def batches(self, names: Sequence[str] | None = None, *, size: int = BATCH_ROWS) -> Iterator[Any]:
        """Yield Arrow record batches of at most ``size`` rows with the columns ``names`` (all), in row order."""
        chosen = list(self.names if names is None else names)
        self.require(chosen)
        done = 0
        for piece in self._pieces:
            stream = _scan(piece, chosen, size)
            while True:
                with reading(self.source, done):
                    batch = next(stream, None)
                if batch is None:
                    break
                yield batch
                done += batch.num_rows

    def numbers(self, names: Sequence[str]) -> np.ndarray:
        """Return columns as float64 ``[N, K]``, NaN for missing; dates count seconds since 1970.

        Raises:
            DataError: a column is absent, nested, or holds a text that is no number (named with its row).
        """
        self.require(names)
        result = np.empty((self.num_rows, len(names)))
        for start, batch in self.enumerate_batches(names):
            for position, name in enumerate(names):
                column = cells(batch, name, "numbers", start, self)
                result[start : start + batch.num_rows, position] = column
        return result

    def codes(self, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
        """Return ``(codes [N] int32 with -1 for missing, categories)`` of one column.

        Categories are canonical texts in sorted order, by value when all are numbers.
        """
        self.require([name])
        found: dict[str, int] = {}
        result = np.empty(self.num_rows, dtype=np.int32)
        for start, batch in self.enumerate_batches([name]):
            local, labels = cells(batch, name, "codes", start, self)
            lookup = np.array([found.setdefault(text, len(found)) for text in labels] + [-1], dtype=np.int32)
            result[start : start + batch.num_rows] = lookup[local]
        return _sorted(result, list(found))

    def enumerate_batches(
        self, names: Sequence[str] | None = None, *, size: int = BATCH_ROWS
    ) -> Iterator[tuple[int, Any]]:
        """Yield ``(row number of the first row, batch)``."""
        start = 0
        for batch in self.batches(names, size=size):
            yield start, batch
            start += batch.num_rows

    def take(self, rows: np.ndarray | Sequence[int], names: Sequence[str] | None = None) -> Table:
        """Return the given rows in the given order (repeats allowed) as a table in memory, in one pass."""
        index = np.asarray(rows, dtype=np.int64).reshape(-1)
        if len(index) and not (index.min() >= 0 and index.max() < self.num_rows):
            raise DataError(f"{self.source}: rows must lie in 0..{self.num_rows - 1}, got {index.min()}..{index.max()}")
        order = np.argsort(index, kind="stable")
        picked = list(self._picked(index[order], names))
        table = _together(picked) if picked else self._empty(names)
        inverse = np.empty_like(order)
        inverse[order] = np.arange(len(order))
        return self._memory(table if _rising(order) else table.take(inverse))

    def slice(self, start: int, stop: int | None = None) -> Table:
        """Return rows ``start`` to ``stop`` (exclusive, default the end) as a table in memory."""
        first, last, _ = slice(start, stop).indices(self.num_rows)
        return self.take(np.arange(first, last))

    def head(self, rows: int = 5) -> Table:
        """Return the first rows as a table in memory."""
        return self.slice(0, rows)

    def sample(self, rows: int, *, seed: int, names: Sequence[str] | None = None) -> Table:
        """Return ``rows`` different rows drawn with ``seed`` in table order (all of them when there are fewer)."""
        return self.take(sample_rows(self.num_rows, rows, seed), names)

    def beside(self, test: Table) -> Table:
        """Return this table with other given :attr:`test` rows."""
        facts = {"source": self.source, "missing": self.missing, "parts": self.parts, "excluded": self.excluded}
        return Table(self._pieces, test=test, **facts)

    def joined(self) -> Table:
        """Return this table followed by its given :attr:`test` rows, with :attr:`parts` saying which are which."""
        return self if self.test is None else concat({"train": self, "test": self.test})

    def to_arrow(self, names: Sequence[str] | None = None) -> Any:
        """Return a ``pyarrow.Table`` with the columns ``names`` (all), in memory."""
        return self.slice(0, None)._pieces[0].to_table(None if names is None else list(names))

    def require(self, names: Sequence[str]) -> None:
        """Raise a :class:`DataError` for the first of ``names`` that is no column, suggesting the nearest."""
        for name in names:
            if name not in self.types:
                raise DataError(f"{self.source} has no column {name!r}. {suggest(name, self.names)}")

    def _check_names(self) -> None:
        if not self.names:
            raise DataError(f"{self.source}: the table has no columns")
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            listed = ", ".join(repr(name) for name in twice)
            raise DataError(f"{self.source}: several columns are called {listed}; rename them so that each is unique")
        for piece in self._pieces[1:]:
            absent = [name for name in self.names if name not in piece.schema.names]
            if absent:
                raise DataError(f"{self.source}: a part of the table lacks the column {absent[0]!r}")

    def _picked(self, rising: np.ndarray, names: Sequence[str] | None) -> Iterator[Any]:
        pa = arrow()
        for start, batch in self.enumerate_batches(names):
            low, high = np.searchsorted(rising, [start, start + batch.num_rows])
            if high > low:
                yield pa.Table.from_batches([batch]).take(pa.array(rising[low:high] - start))
            if high == len(rising):
                return

    def _empty(self, names: Sequence[str] | None) -> Any:
        schema = self._pieces[0].schema
        fields = [schema.field(name) for name in (self.names if names is None else names)]
        return arrow().schema(fields).empty_table()

    def _memory(self, table: Any) -> Table:
        piece = arrow("dataset").dataset(table)
        return Table([piece], source=self.source, missing=self.missing, excluded=self.excluded)


def concat(parts: Mapping[str, Table]) -> Table:
    """Return the given parts (``{"train": ..., "test": ...}``) as one table, row ranges kept in ``parts``.

    Raises:
        DataError: a part lacks a column of the first.
    """
    tables = list(parts.values())
    ends = np.cumsum([0, *(table.num_rows for table in tables)]).tolist()
    ranges = {name: range(a, b) for name, a, b in zip(parts, ends[:-1], ends[1:], strict=True)}
    pieces = [piece for table in tables for piece in table._pieces]
    first = tables[0]
    source = " + ".join(table.source for table in tables)
    return Table(pieces, source=source, missing=first.missing, parts=ranges, excluded=first.excluded)


def sample_rows(total: int, rows: int, seed: int) -> np.ndarray:
    """Return ``min(rows, total)`` different row numbers in rising order, drawn with ``seed``."""
    if rows >= total:
        return np.arange(total)
    return np.sort(np.random.default_rng(seed).choice(total, rows, replace=False))


def cells(batch: Any, name: str, how: str, start: int, table: Table) -> Any:
    """Read one column of a batch as ``"numbers"`` or ``"codes"``; problems name column, row, found and expected."""
    array = batch.column(name)
    try:
        return (numbers if how == "numbers" else codes)(array, table.missing)
    except BadCell as bad:
        row = start + bad.position
        raise DataError(f"column {name!r}, row {row}: expected a number, found {bad.value!r}") from bad
    except arrow().ArrowException as error:
        raise DataError(f"column {name!r} holds {table.types[name]}, which cannot be read as {how}") from error


class reading:  # noqa: N801 - a context manager, used like a function
    """Turn what Arrow raises while reading ``source`` into a :class:`DataError` in people's words."""

    def __init__(self, source: str, done: int = 0) -> None:
        self.source = source
        self.done = done

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, arrow().ArrowException, UnicodeDecodeError)):
            where = f" after row {self.done}" if self.done else ""
            text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise DataError(f"{self.source} cannot be read{where}: {text}") from error


def _scan(piece: Any, names: list[str], size: int) -> Iterator[Any]:
    # Deeper read-ahead is no faster here and each batch of a wide table costs tens of megabytes.
    scanner = piece.scanner(columns=names, batch_size=size, batch_readahead=2, fragment_readahead=1)
    for batch in scanner.to_batches():
        _check_dictionaries(batch)
        if batch.num_rows:
            yield batch


def _check_dictionaries(batch: Any) -> None:
    # A damaged page without a checksum may decode to indices that point outside the dictionary.
    pa = arrow()
    for column in batch.columns:
        if pa.types.is_dictionary(column.type):
            last = arrow("compute").max(column.indices).as_py()
            if last is not None and last >= len(column.dictionary):
                raise pa.ArrowInvalid("a dictionary index is out of bounds, so the data are damaged")


def _together(tables: list[Any]) -> Any:
    pa = arrow()
    if any(table.schema != tables[0].schema for table in tables):
        tables = [_plain(table) for table in tables]
    return pa.concat_tables(tables, promote_options="permissive").unify_dictionaries().combine_chunks()


def _plain(table: Any) -> Any:
    pa = arrow()
    fields = [pa.field(f.name, value_type(f.type)) for f in table.schema]
    return table.cast(pa.schema(fields))


def _rising(order: np.ndarray) -> bool:
    return bool((np.diff(order) > 0).all())


def _sorted(values: np.ndarray, labels: list[str]) -> tuple[np.ndarray, tuple[str, ...]]:
    order = sorted(range(len(labels)), key=_natural(labels))
    lookup = np.full(len(labels) + 1, -1, dtype=np.int32)
    lookup[order] = np.arange(len(labels), dtype=np.int32)
    return lookup[values], tuple(labels[i] for i in order)


def _natural(labels: list[str]) -> Any:
    try:
        values = [float(text) for text in labels]
    except ValueError:
        return lambda i: labels[i]
    return lambda i: (values[i], labels[i])
