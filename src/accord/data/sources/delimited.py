"""CSV and TSV: delimiter, encoding and types found out; ragged rows named by line."""

from __future__ import annotations

import bz2
import csv
import gzip
import re
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from accord.data.engine import arrow
from accord.data.sources.spool import spool
from accord.data.values import MISSING, number
from accord.errors import DataError

BLOCK_BYTES = 16 * 2**20
_PEEK = 2**20
_COLUMN = re.compile(r"In CSV column #(\d+)")


def delimited(
    path: Path,
    *,
    encoding: str | None = None,
    delimiter: str | None = None,
    names: Sequence[str] | None = None,
) -> Any:
    """Return a dataset over one delimited text file (``.gz``, ``.bz2``, ``.zst`` and ``.lz4`` too).

    The file is parsed once, in blocks. A column whose later rows contradict the type of the first block is read again,
    integers as floats and anything else as text; the schema turns numbers in text back into numbers, so nothing is
    lost by that. Digits with leading zeros, such as postal codes, stay text when the first megabyte shows one.

    Args:
        path: the file.
        encoding: e.g. ``"latin-1"``. When ``None``: by the byte-order mark, else UTF-8, else Windows-1252 with a
            warning, because a wrong guess would garble labels without any other sign.
        delimiter: one character; the one that splits the header into most fields when ``None``.
        names: column names of a file without a header line.

    Raises:
        DataError: ragged rows (with the line number), a text that cannot be decoded, a missing header.
    """
    plan = _plan(path, encoding, delimiter, names)
    while True:
        try:
            reader = _reader(plan)
            if any(arrow().types.is_binary(kind) for kind in reader.schema.types):
                raise arrow().ArrowInvalid("invalid UTF8 data in the first block")
            return spool(reader, reader.schema)
        except UnicodeDecodeError as error:
            raise DataError(f"{path} is not {plan.encoding} text: {error}. Name its encoding.") from error
        except (OSError, EOFError, arrow().ArrowInvalid) as error:
            plan = _revised(plan, str(error), error)


@dataclass(frozen=True, slots=True)
class _Plan:
    path: Path
    encoding: str
    guessed: bool
    delimiter: str
    names: tuple[str, ...]
    header: bool
    types: dict[str, str] = field(default_factory=dict)


def _plan(path: Path, encoding: str | None, delimiter: str | None, names: Sequence[str] | None) -> _Plan:
    head = _peek(path)
    known = encoding or detect_encoding(head, path)
    try:
        lines = head.decode(known, "replace").lstrip("\ufeff").splitlines()
    except LookupError as error:
        raise DataError(f"there is no encoding {known!r}; common ones are utf-8, latin-1, cp1252, utf-16") from error
    if not any(line.strip() for line in lines):
        raise DataError(f"{path} is empty: it holds no rows, not even a header")
    comma = delimiter or detect_delimiter(lines, path)
    header = next(csv.reader(lines, delimiter=comma))
    if names is None and len(header) > 1 and all(number(cell.strip()) is not None for cell in header):
        raise DataError(f"the first line of {path} holds numbers, not column names: {header[:5]}; pass names=[...]")
    titles = names or [cell.strip() or f"unnamed_{i}" for i, cell in enumerate(header)]
    types = dict.fromkeys(padded(lines[names is None :], comma, titles), "string")
    return _Plan(path, known, encoding is None, comma, tuple(titles), names is None, types)


def _reader(plan: _Plan) -> Any:
    form = arrow("csv")
    return form.open_csv(
        arrow().input_stream(plan.path, compression="detect"),
        # The header is skipped, not read, so that names are ours: stripped, and never empty.
        read_options=form.ReadOptions(
            block_size=BLOCK_BYTES,
            encoding=plan.encoding,
            column_names=list(plan.names),
            skip_rows_after_names=int(plan.header),
        ),
        parse_options=form.ParseOptions(delimiter=plan.delimiter, newlines_in_values=True),
        convert_options=form.ConvertOptions(
            null_values=sorted(MISSING), strings_can_be_null=True, column_types=dict(plan.types)
        ),
    )


def _revised(plan: _Plan, message: str, error: Exception) -> _Plan:
    found = _COLUMN.search(message)
    if "columns, got" in message:
        raise DataError(_ragged(plan, message)) from error
    if "invalid UTF8" in message and plan.guessed:
        warnings.warn(f"{plan.path} is not UTF-8; read as Windows-1252. Name its encoding to be sure.", stacklevel=4)
        return replace(plan, encoding="cp1252", guessed=False)
    name = plan.names[int(found[1])] if found else ""
    if not found or plan.types.get(name) == "string":
        raise DataError(f"{plan.path} cannot be read: {message.splitlines()[0]}") from error
    wider = "float64" if "error to int64" in message else "string"
    return replace(plan, types={**plan.types, name: wider})


def _ragged(plan: _Plan, message: str) -> str:
    opened = {".gz": gzip.open, ".bz2": bz2.open}.get(plan.path.suffix.lower(), open)
    try:
        with opened(plan.path, "rt", encoding=plan.encoding, errors="replace", newline="") as file:
            rows = csv.reader(file, delimiter=plan.delimiter)
            for row in rows:
                if row and len(row) != len(plan.names):
                    return (
                        f"{plan.path}, line {rows.line_num}: {len(row)} fields where {len(plan.names)} are expected "
                        f"(delimiter {plan.delimiter!r}): {plan.delimiter.join(row)[:80]!r}"
                    )
    except (OSError, EOFError, csv.Error):
        pass
    return f"{plan.path} has rows of different lengths: {message.splitlines()[0]}"


def detect_encoding(head: bytes, path: Path) -> str:
    """Return the encoding of a text that begins with ``head``: by its mark, UTF-16 by its zeros, UTF-8 if it is."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if head.startswith(mark):
            return name
    if head[:512].count(0) > len(head[:512]) // 4:
        return "utf-16-be" if head[0] == 0 else "utf-16-le"
    if b"\0" in head:
        raise DataError(f"{path} is not text: it contains zero bytes")
    return "utf-8"


def detect_delimiter(lines: Sequence[str], path: Path) -> str:
    """Return the character among tab, comma, semicolon and bar that splits the first lines alike."""
    if path.name.lower().split(".gz")[0].endswith((".tsv", ".tab")):
        return "\t"
    sample = [line for line in lines[:20] if line.strip()]
    # A character that splits the header into more fields wins; ties go to the order given.
    return max(",\t;|", key=lambda mark: len(next(csv.reader(sample[:1], delimiter=mark))))


def padded(lines: Sequence[str], delimiter: str, names: Sequence[str]) -> set[str]:
    """Return the columns in which some value is digits with a leading zero: as a number, 007 would become 7."""
    found: set[str] = set()
    with suppress(csv.Error):  # what is wrong with the text is found out, and said, when all of it is read
        for row in csv.reader(lines, delimiter=delimiter):
            cells = (cell.strip() for cell in row)
            found.update(n for n, cell in zip(names, cells, strict=False) if cell[:1] == "0" and cell[1:].isdecimal())
    return found


def _peek(path: Path) -> bytes:
    opened = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix.lower())
    try:
        if opened:
            with opened(path) as file:
                return bytes(file.read(_PEEK))
        with arrow().input_stream(path, compression="detect") as stream:
            return bytes(stream.read(_PEEK))
    except (OSError, EOFError) as error:
        raise DataError(f"{path} cannot be unpacked: {error}") from error
