"""``accord data``: data sets that Accord knows by name."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import App, Parameter

from accord.cli.output import print_json, print_table
from accord.errors import ConfigurationError

if TYPE_CHECKING:
    from accord.data.datasets import Dataset

EXAMPLES = """\
Examples:
  accord data
      One line per data set: its name for accord fit, rows, columns, suggested
      targets, and whether it is here or would be downloaded.
  accord data census-income --export census.parquet
      Writes all rows to a file. Where the data set brings a split of its own,
      the column part says it; train on the file with --split given
      --split-column part.

Downloads are checked against published checksums where there are any, and kept
in $ACCORD_CACHE or ~/.cache/accord. Mind each data set's licence."""

app = App(help_epilogue=EXAMPLES)


@app.default
def data(
    name: str | None = None,
    /,
    *,
    download: bool = False,
    export: Path | None = None,
    json: Annotated[bool, Parameter(name="--json")] = False,
) -> None:
    """List the built-in data sets; describe, download or export one.

    Args:
        name: a data set; all of them when left out.
        download: fetch its files now and print the folder they are in.
        export: write its rows to this file, .parquet or .csv.
        json: print facts for programs.
    """
    from accord.data import datasets

    if name is None and (download or export):
        raise ConfigurationError("say which data set, e.g. accord data census-income --export census.parquet")
    if export and export.suffix.lower() not in (".parquet", ".csv"):
        raise ConfigurationError(f"--export {str(export)!r} must end in .parquet or .csv")
    entries = list(datasets.DATASETS.values()) if name is None else [datasets.describe(name)]
    if json:
        print_json([facts(entry) for entry in entries])
    elif name is None:
        header = ("NAME", "ROWS", "COLUMNS", "TARGETS", "WHERE")
        print_table(header, (_row(entry) for entry in entries))
    elif not (download or export):
        print("\n".join(_page(entries[0])))
    if name and (download or export):
        folder = datasets.download(name, progress=_downloaded)
        if download:
            print(folder)
    if name and export:
        print(f"wrote {_export(name, export):,} rows to {export}", file=sys.stderr)
        for column in entries[0].excluded:  # a file of its own no longer knows
            print(f"{column} is no feature: train on the file with --column {column}=drop", file=sys.stderr)


def facts(entry: Dataset) -> dict[str, Any]:
    """Return what is known about a data set as plain data."""
    from accord.data import datasets

    return {
        "name": entry.name,
        "title": entry.title,
        "description": entry.description,
        "rows": entry.rows,
        "columns": entry.columns,
        "tasks": dict(entry.tasks),
        "excluded": dict(entry.excluded),
        "licence": entry.licence,
        "citation": entry.citation,
        "homepage": entry.homepage,
        "urls": [file.url for file in entry.files],
        "bytes": entry.size,
        "here": datasets.is_available(entry.name),
    }


def _row(entry: Dataset) -> tuple[str, ...]:
    targets = list(entry.tasks)
    shown = ", ".join(targets[:3]) + (f", {len(targets) - 3} more" if len(targets) > 3 else "")
    return entry.name, f"{entry.rows:,}", str(entry.columns), shown, _where(entry)


def _where(entry: Dataset) -> str:
    from accord.data import datasets

    if entry.bundled:
        return "ships with Accord"
    if datasets.is_available(entry.name):
        return "downloaded"
    return f"download of {entry.size / 1e6:.1f} MB" if entry.size else "download"


def _page(entry: Dataset) -> Iterator[str]:
    from accord.data import datasets

    yield f"{entry.title} ({entry.name}): {entry.rows:,} rows, {entry.columns} columns; {_where(entry)}"
    yield entry.description
    yield ""
    yield "targets   " + ", ".join(f"{name} ({kind})" for name, kind in entry.tasks.items())
    for column, reason in entry.excluded.items():
        yield f"left out  {column}: {reason}"
    yield f"licence   {entry.licence}"
    yield f"cite      {entry.citation}"
    yield f"see       {entry.homepage}"
    for file in entry.files:
        kept = f", kept as {file.name}" if file.prefix else ""
        yield f"file      {file.url} ({file.checksum or 'no published checksum'}{kept})"
    if entry.files:
        yield f"folder    {datasets.folder_of(entry.name)}"
    yield ""
    yield f"accord fit {entry.name} --targets {','.join(list(entry.tasks)[:2])}"


def _downloaded(done: int, total: int) -> None:
    if sys.stderr.isatty():
        share = f" of {total / 1e6:.1f}" if total else ""
        print(f"\r{done / 1e6:.1f}{share} MB", end="\n" if done == total else "", file=sys.stderr, flush=True)


def _export(name: str, path: Path) -> int:
    """Write all rows batch by batch, so that memory does not grow with the data set; return their number."""
    from accord.data import datasets, replacing
    from accord.data.engine import arrow

    table = datasets.load(name)
    given = {"train": table, "test": table.test} if table.test is not None else {"": table}
    rows = 0
    with replacing(path) as temporary:
        writer = None
        for part, piece in given.items():
            for batch in piece.batches():
                labelled = batch.append_column("part", arrow().array([part] * batch.num_rows)) if part else batch
                writer = writer or _writer(path, temporary, labelled.schema)
                writer.write_batch(labelled)
                rows += batch.num_rows
        if writer is not None:
            writer.close()
    return rows


def _writer(path: Path, temporary: Path, schema: Any) -> Any:
    from accord.data.engine import arrow

    if path.suffix.lower() == ".csv":
        return arrow("csv").CSVWriter(temporary, schema)
    return arrow("parquet").ParquetWriter(temporary, schema, compression="zstd")
