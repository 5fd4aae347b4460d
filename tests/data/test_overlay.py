"""Pictures overlaid, from small IDX files made here."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from accord.data import datasets
from accord.data.datasets.overlay import Pictures, overlay, read_pictures
from accord.errors import ConfigurationError, DataError


def write_idx(path: Path, values: np.ndarray, packed: bool = True) -> None:
    raw = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(raw) if packed else raw)


def write_source(folder: Path, prefix: str = "", count: int = 30, packed: bool = True) -> dict[str, Pictures]:
    """Write pictures of 28 by 28 whose every pixel tells the class, and return them."""
    rng, found = np.random.default_rng(len(prefix)), {}
    for part, rows in (("train", count), ("t10k", count // 3)):
        labels = rng.integers(0, 10, rows).astype(np.uint8)
        images = np.broadcast_to(10 + 20 * labels[:, None, None], (rows, 28, 28)).astype(np.uint8)
        suffix = ".gz" if packed else ""
        write_idx(folder / f"{prefix}{part}-images-idx3-ubyte{suffix}", images, packed)
        write_idx(folder / f"{prefix}{part}-labels-idx1-ubyte{suffix}", labels, packed)
        found[part] = Pictures(images, labels)
    return found


@pytest.mark.parametrize("packed", [True, False])
def test_idx_files_come_back(tmp_path: Path, packed: bool) -> None:
    written = write_source(tmp_path, packed=packed)["train"]
    read = read_pictures(tmp_path, "train")
    assert np.array_equal(read.images, written.images) and np.array_equal(read.labels, written.labels)


def test_a_canvas_by_hand() -> None:
    dark, bright = (
        Pictures(np.full((1, 2, 2), value, np.uint8), np.array([label], np.uint8)) for value, label in ((3, 7), (5, 4))
    )
    made = overlay([dark, bright], 2, seed=0, canvas=3)
    assert made.images[0].tolist() == [[3, 3, 0], [3, 5, 5], [0, 5, 5]]
    assert overlay([bright, dark], 1, seed=0, canvas=3).images[0].tolist() == [[5, 5, 0], [5, 5, 3], [0, 3, 3]]
    assert made.labels.tolist() == [[7, 4], [7, 4]] and made.tasks == ("left", "right")
    three = overlay([dark, bright, dark], 1, seed=0, canvas=5)
    assert three.images[0].tolist() == [[3, 3, 0, 5, 5], [3, 3, 0, 5, 5], [0] * 5, [0, 3, 3, 0, 0], [0, 3, 3, 0, 0]]


def test_labels_belong_to_their_pictures_and_tell_nothing_of_the_neighbour(tmp_path: Path) -> None:
    source = write_source(tmp_path, count=300)["train"]
    made = overlay([source, source], 4000, seed=1)
    # Pixels that only one picture covers.
    assert np.array_equal(made.images[:, 0, 0], 10 + 20 * made.labels[:, 0])
    assert np.array_equal(made.images[:, 35, 35], 10 + 20 * made.labels[:, 1])
    assert abs(np.corrcoef(made.labels.T)[0, 1]) < 0.05
    again, other = overlay([source, source], 4000, seed=1), overlay([source, source], 4000, seed=2)
    assert np.array_equal(again.images, made.images) and not np.array_equal(other.images, made.images)


def test_the_named_data_sets_are_read_from_files_that_are_there(tmp_path: Path) -> None:
    for name, tasks in (("multi-fashion-and-mnist", ("left", "right")), ("multi-mnist-3", ("left", "right", "bottom"))):
        entry = datasets.describe(name)
        prefixes = {file.prefix for file in entry.files}
        folder = tmp_path / name
        folder.mkdir()
        sources = {prefix: write_source(folder, prefix) for prefix in prefixes}
        assert {path.name for path in folder.iterdir()} == {file.name for file in entry.files}
        pieces = {part: piece.to_table() for part, piece in entry.read(folder).items()}
        assert pieces["train"].num_rows == 30 and pieces["test"].num_rows == 10
        assert pieces["train"].num_columns == entry.columns
        assert tuple(pieces["train"].column_names[-len(tasks) :]) == tasks == tuple(entry.tasks)
        left = pieces["train"]["left"].to_numpy()
        assert np.isin(left, sources["mnist-"]["train"].labels).all()
        assert np.array_equal(pieces["train"]["pixel_0"].to_numpy(), 10 + 20 * left)


def test_what_cannot_be_done_is_explained(tmp_path: Path) -> None:
    one = Pictures(np.zeros((1, 4, 4), np.uint8), np.zeros(1, np.uint8))
    with pytest.raises(ConfigurationError, match="two or three pictures"):
        overlay([one], 1, seed=0)
    with pytest.raises(ConfigurationError, match="canvas of 3 pixels is too small for pictures of 4"):
        overlay([one, one], 1, seed=0, canvas=3)
    with pytest.raises(DataError, match=r"neither train-images-idx3-ubyte\.gz nor"):
        read_pictures(tmp_path, "train")
    write_source(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte.gz", np.zeros(29, np.uint8))
    with pytest.raises(DataError, match=r"images \[30, 28, 28\] for labels \[29\]"):
        read_pictures(tmp_path, "train")
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"\x1f\x8bnot gzip")
    with pytest.raises(DataError, match="damaged"):
        read_pictures(tmp_path, "train")
