"""Data sets by name: one ships with Accord, the others are described here and downloaded when asked for."""

from __future__ import annotations

import os
from pathlib import Path

from accord.data.datasets.catalogue import DATASETS
from accord.data.datasets.entry import Dataset, File
from accord.data.datasets.fetch import Progress, fetch
from accord.data.table import Table
from accord.data.values import MISSING
from accord.errors import ConfigurationError, suggest

__all__ = ["DATASETS", "Dataset", "File", "cache_dir", "describe", "download", "is_available", "load"]

_BUNDLED = Path(__file__).parent.parent


def cache_dir() -> Path:
    """Return the folder that downloads go to: ``$ACCORD_CACHE``, else ``accord`` in the user's cache folder."""
    if chosen := os.environ.get("ACCORD_CACHE"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache").expanduser() / "accord"


def describe(name: str) -> Dataset:
    """Return what is known about the data set ``name``.

    Raises:
        ConfigurationError: there is none; the message suggests the nearest names.
    """
    if name not in DATASETS:
        raise ConfigurationError(f"unknown data set {name!r}. {suggest(name, DATASETS)}")
    return DATASETS[name]


def folder_of(name: str, cache: str | Path | None = None) -> Path:
    """Return the folder that holds the files of a data set."""
    entry = describe(name)
    if entry.bundled:
        return _BUNDLED / name.replace("-", "_")
    return (Path(cache) if cache else cache_dir()) / name


def is_available(name: str, cache: str | Path | None = None) -> bool:
    """Whether the files of a data set are here, so that :func:`load` needs no network."""
    folder = folder_of(name, cache)
    return all((folder / file.name).is_file() for file in describe(name).files)


def download(name: str, cache: str | Path | None = None, progress: Progress | None = None) -> Path:
    """Make sure that the files of a data set are here and are the right ones, and return their folder.

    Raises:
        ConfigurationError: there is no such data set.
        DataError: no connection, or the bytes are not those expected.
    """
    folder = folder_of(name, cache)
    for file in describe(name).files:
        fetch(file, folder, progress)
    return folder


def load(
    name: str,
    cache: str | Path | None = None,
    *,
    missing: frozenset[str] = MISSING,
    progress: Progress | None = None,
) -> Table:
    """Return the training rows of a data set, with the given test rows, if there are any, as ``table.test``.

    Args:
        name: of the data set.
        cache: folder for downloads; :func:`cache_dir` when ``None``.
        missing: texts that count as missing.
        progress: called with bytes done and bytes in all while downloading.
    """
    entry = describe(name)
    pieces = entry.read(download(name, cache, progress))
    options = {"missing": missing, "excluded": entry.excluded}
    test = Table([pieces["test"]], source=f"{name} (test)", **options) if "test" in pieces else None
    return Table([pieces["train"]], source=name, test=test, **options)
