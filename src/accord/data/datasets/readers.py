"""From downloaded files to tables, one reader per data set."""

from __future__ import annotations

import bz2
import gzip
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from accord.data.engine import arrow
from accord.data.sources.files import parquet_dataset
from accord.errors import DataError

ADULT = re.findall(
    r"\w+",
    "age workclass fnlwgt education education_num marital_status occupation relationship race sex capital_gain "
    "capital_loss hours_per_week native_country income",
)
GENRES = re.findall(
    r"\w+",
    "unknown action adventure animation children comedy crime documentary drama fantasy film_noir horror musical "
    "mystery romance sci_fi thriller war western",
)


def census_income(folder: Path) -> dict[str, Any]:
    """Census-Income: Parquet in the original split."""
    return {part: parquet_dataset([folder / f"{part}.parquet"]) for part in ("train", "test")}


def adult(folder: Path) -> dict[str, Any]:
    """Adult: comma and space between values, no header; the test part has a comment line and a full stop per label."""
    with opened(folder / "adult.zip") as archive:
        train, test = (archive.read(f"adult.{part}").decode("ascii") for part in ("data", "test"))
    _, _, test = test.partition("\n")
    return {"train": _delimited(train, ADULT, ", "), "test": _delimited(test.replace(".\n", "\n"), ADULT, ", ")}


def fashion_mnist(folder: Path) -> dict[str, Any]:
    """Fashion-MNIST: 784 pixel columns and a label, from the IDX files."""
    return {
        "train": _images(folder, "train"),
        "test": _images(folder, "t10k"),
    }


def qm9(folder: Path) -> dict[str, Any]:
    """QM9: one CSV file."""
    from accord.data.sources.delimited import delimited

    return {"train": delimited(folder / "qm9.csv")}


def multi_mnist(folder: Path) -> dict[str, Any]:
    """MultiMNIST: two digits on a canvas."""
    return _overlaid(folder, ("mnist-", "mnist-"))


def multi_fashion(folder: Path) -> dict[str, Any]:
    """Multi-Fashion: two pieces of clothing on a canvas."""
    return _overlaid(folder, ("fashion-", "fashion-"))


def multi_fashion_and_mnist(folder: Path) -> dict[str, Any]:
    """A digit and a piece of clothing on a canvas."""
    return _overlaid(folder, ("mnist-", "fashion-"))


def multi_mnist_3(folder: Path) -> dict[str, Any]:
    """Three digits on a canvas."""
    return _overlaid(folder, ("mnist-", "mnist-", "mnist-"))


def movielens_100k(folder: Path) -> dict[str, Any]:
    """MovieLens-100k: ratings joined with the tables of users and films."""
    with opened(folder / "ml-100k.zip") as archive:
        ratings, users, films = (_lines(archive, name) for name in ("u.data", "u.user", "u.item"))
    people = {row[0]: row for row in (line.split("|") for line in users)}
    movies = {row[0]: row for row in (line.split("|") for line in films)}
    rows = [line.split("\t") for line in ratings]
    columns: dict[str, Any] = {
        "user_id": [row[0] for row in rows],
        "item_id": [row[1] for row in rows],
        "rating": np.array([row[2] for row in rows], dtype=np.int8),
        "timestamp": np.array([row[3] for row in rows], dtype=np.int64),
        "age": np.array([people[row[0]][1] for row in rows], dtype=np.int16),
        "gender": [people[row[0]][2] for row in rows],
        "occupation": [people[row[0]][3] for row in rows],
        "zip_code": [people[row[0]][4] for row in rows],
        "release_year": [movies[row[1]][2][-4:] or None for row in rows],
    }
    for place, genre in enumerate(GENRES, start=5):
        columns[f"genre_{genre}"] = np.array([movies[row[1]][place] == "1" for row in rows])
    return {"train": _memory(columns)}


def yeast(folder: Path) -> dict[str, Any]:
    """Yeast: sparse text, ``label,label 1:value 2:value``, in the original split."""
    return {part: _svm(folder / f"yeast_{part}.svm.bz2", features=103, labels=14) for part in ("train", "test")}


def opened(path: Path) -> zipfile.ZipFile:
    """Open a zip archive.

    Raises:
        DataError: it is damaged.
    """
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} is no complete zip archive ({error}); delete it to download it again") from error


def _memory(columns: Mapping[str, Any]) -> Any:
    return arrow("dataset").dataset(arrow().table(dict(columns)))


def _delimited(text: str, names: Sequence[str], delimiter: str) -> Any:
    form = arrow("csv")
    table = form.read_csv(
        io.BytesIO(text.replace(delimiter, ",").encode()),
        read_options=form.ReadOptions(column_names=list(names)),
        convert_options=form.ConvertOptions(null_values=["?"], strings_can_be_null=True),
    )
    return arrow("dataset").dataset(table)


def _lines(archive: zipfile.ZipFile, name: str) -> list[str]:
    return archive.read(f"ml-100k/{name}").decode("latin-1").splitlines()


def _images(folder: Path, part: str) -> Any:
    pixels = idx(folder / f"{part}-images-idx3-ubyte.gz")
    labels = idx(folder / f"{part}-labels-idx1-ubyte.gz")
    flat = pixels.reshape(len(pixels), -1).T
    columns = {f"pixel_{i}": np.ascontiguousarray(column) for i, column in enumerate(flat)}
    return _memory({**columns, "label": labels})


def idx(path: Path) -> np.ndarray:
    """Read an IDX file of bytes, packed by gzip or not: two zeros, type 8, the number of dimensions, sizes, values.

    Raises:
        DataError: it is damaged.
    """
    try:
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
        zero, kind, ndim = struct.unpack_from(">HBB", raw)
        shape = struct.unpack_from(f">{ndim}I", raw, 4)
        if zero or kind != 8:
            raise ValueError("not an IDX file of bytes")
        return np.frombuffer(raw, np.uint8, offset=4 + 4 * ndim).reshape(shape)
    except (OSError, EOFError, zlib.error, struct.error, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it to download it again") from error


def _overlaid(folder: Path, prefixes: Sequence[str]) -> dict[str, Any]:
    from accord.data.datasets.overlay import overlay, read_pictures

    found = {}
    # As many canvases as the sources have pictures; training pictures make training canvases only.
    for part, name, seed in (("train", "train", 0), ("test", "t10k", 1)):
        sources = [read_pictures(folder, name, prefix) for prefix in prefixes]
        found[part] = _memory(overlay(sources, len(sources[0].images), seed=seed).columns())
    return found


def _svm(path: Path, features: int, labels: int) -> Any:
    lines = bz2.decompress(path.read_bytes()).decode("ascii").splitlines()
    values = np.zeros((len(lines), features), dtype=np.float32)
    truth = np.zeros((len(lines), labels), dtype=np.bool_)
    for row, line in enumerate(lines):
        head, *pairs = line.split()
        truth[row, [int(label) for label in head.split(",")]] = True
        for pair in pairs:
            column, _, value = pair.partition(":")
            values[row, int(column) - 1] = float(value)
    columns: dict[str, Any] = {f"feature_{i + 1}": values[:, i].copy() for i in range(features)}
    return _memory({**columns, **{f"label_{i + 1}": truth[:, i].copy() for i in range(labels)}})
