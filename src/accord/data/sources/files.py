"""Columnar files: Parquet and Arrow IPC (Feather), one file, a folder (Hive partitions too) or a glob."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from accord.data.engine import arrow
from accord.errors import DataError, suggest

PARQUET = frozenset({".parquet", ".pq", ".parq"})
IPC = frozenset({".arrow", ".feather", ".ipc"})
TEXT = frozenset({".csv", ".tsv", ".txt", ".tab"})
DATABASE = frozenset({".duckdb", ".db", ".sqlite", ".sqlite3", ".ddb"})
PACKED = frozenset({".gz", ".bz2", ".zst", ".lz4"})


def suffix(path: Path) -> str:
    """Return what the file is by its name, looking through compression: ``data.csv.gz`` -> ``.csv``."""
    kind = path.suffix.lower()
    return Path(path.stem).suffix.lower() if kind in PACKED else kind


def expand(source: str | Path) -> list[Path]:
    """Return the data files that ``source`` (file, folder or glob) names, sorted.

    Raises:
        DataError: nothing there (with the nearest sibling), an empty file, or a folder without tables.
    """
    path = Path(source).expanduser()
    if path.is_dir():
        files = _inside(path)
    elif path.is_file():
        files = [path]
    else:
        files = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())  # noqa: PTH207
    if not files:
        raise DataError(_nothing_at(path))
    for file in files:
        if file.stat().st_size == 0:
            raise DataError(f"{file} is empty (0 bytes)")
    return files


def columnar(files: Sequence[Path]) -> Any:
    """Return an Arrow dataset over Parquet or IPC files with one schema for all of them.

    Raises:
        DataError: a file is damaged, or two files disagree about the type of a column.
    """
    return parquet_dataset(files) if suffix(files[0]) in PARQUET else _dataset(files, "ipc")


def parquet_dataset(files: Sequence[Path]) -> Any:
    """Return a dataset over Parquet files that keeps strings dictionary-encoded, as Parquet stores them."""
    ds = arrow("dataset")
    # Checksums cost little and turn a flipped bit into an error instead of a wrong number.
    scan = ds.ParquetFragmentScanOptions(page_checksum_verification=True, pre_buffer=False, use_buffered_stream=True)
    plain = _dataset(files, ds.ParquetFileFormat(default_fragment_scan_options=scan))
    types = arrow().types
    strings = [f.name for f in plain.schema if types.is_string(f.type) or types.is_large_string(f.type)]
    if not strings:
        return plain
    options = ds.ParquetReadOptions(dictionary_columns=set(strings))
    return _dataset(files, ds.ParquetFileFormat(read_options=options, default_fragment_scan_options=scan))


def _dataset(files: Sequence[Path], form: Any) -> Any:
    ds = arrow("dataset")
    pa = arrow()
    names = [str(file) for file in files]
    options = ds.FileSystemFactoryOptions(
        partition_base_dir=_base(files), partitioning=ds.HivePartitioning.discover(infer_dictionary=True)
    )
    form = ds.IpcFileFormat() if form == "ipc" else form
    try:
        factory = ds.FileSystemDatasetFactory(pa.fs.LocalFileSystem(), names, form, options)
        return factory.finish(factory.inspect(promote_options="permissive"))
    except (OSError, pa.ArrowException) as error:
        raise DataError(_damaged(files, error)) from error


def _inside(folder: Path) -> list[Path]:
    known = PARQUET | IPC | TEXT
    files = sorted(p for p in folder.rglob("*") if p.is_file() and suffix(p) in known and p.name[0] not in "._")
    kinds = {".parquet" if suffix(p) in PARQUET else ".arrow" if suffix(p) in IPC else ".csv" for p in files}
    if len(kinds) > 1:
        raise DataError(f"{folder} mixes {' and '.join(sorted(kinds))} files; name those you mean, e.g. {folder}/*.csv")
    if not files:
        raise DataError(f"{folder} is a folder without tables (looked for {', '.join(sorted(known))})")
    return files


def _nothing_at(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no file {path}, nor the folder {path.parent}"
    siblings = [p.name for p in path.parent.iterdir() if suffix(p) in PARQUET | IPC | TEXT | DATABASE or p.is_dir()]
    if any(letter in path.name for letter in "*?["):
        return f"no file matches {path}"
    hint = suggest(path.name, siblings[:200]) if siblings else f"The folder {path.parent} holds no tables."
    return f"there is no file {path}. {hint}"


def _base(files: Sequence[Path]) -> str:
    # Folder names like year=2024 become columns only below the folder that was asked for.
    parents = [file.parent for file in files]
    common = parents[0]
    while any(common not in [p, *p.parents] for p in parents):
        common = common.parent
    return str(common)


def _damaged(files: Sequence[Path], error: Exception) -> str:
    text = str(error).strip().splitlines()[0]
    place = next(
        (str(file) for file in files if str(file) in text), str(files[0].parent if len(files) > 1 else files[0])
    )
    return f"{place} is truncated, corrupted or not what its name says: {text}"
