"""Six classification tasks on pictures of 28x28: digits and clothes as they are, turned, and inverted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.study.data.multimnist import mnist
from torch import Tensor

from accord.data.datasets.readers import idx
from accord.errors import DataError

# Where Debian's package dataset-fashion-mnist puts it; the folder of `accord data fashion-mnist` has the same files.
FASHION = Path("/usr/share/datasets/fashion-mnist")
PARTS = {"base": 3_000, "train": 5_000, "validation": 600, "test": 2_000}


@dataclass(frozen=True)
class Pictures:
    """Pictures ``[N, 1, 28, 28]`` in [0, 1] and labels ``[N]`` of each part; no picture is in two parts of a task."""

    name: str
    classes: int
    parts: dict[str, tuple[Tensor, Tensor]]


def load(fashion: Path = FASHION) -> list[Pictures]:
    """Return the tasks, always of the same pictures. The base is trained on a part of its own."""
    digits, clothes = mnist("train"), _clothes(fashion)
    rng = np.random.default_rng(0)

    def task(name: str, source: tuple[np.ndarray, np.ndarray], change: object = None) -> Pictures:
        images, labels = source
        order = rng.permutation(len(images))
        parts, start = {}, 0
        for part, size in PARTS.items():
            chosen = order[start : start + size]
            picked = change(images[chosen]) if callable(change) else images[chosen]
            values = torch.from_numpy(np.ascontiguousarray(picked)).float().div(255)[:, None]
            parts[part] = values, torch.from_numpy(labels[chosen].astype(np.int64))
            start += size
        return Pictures(name, int(labels.max()) + 1, parts)

    return [
        task("digits", digits),
        task("clothes", clothes),
        task("digits turned", digits, lambda images: np.rot90(images, axes=(1, 2))),
        task("digits inverted", digits, lambda images: 255 - images),
        task("clothes upside down", clothes, lambda images: images[:, ::-1]),
        task("clothes inverted", clothes, lambda images: 255 - images),
    ]


def _clothes(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    files = [folder / f"train-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")]
    if not all(file.is_file() for file in files):
        raise DataError(f"no Fashion-MNIST in {folder}: apt-get install dataset-fashion-mnist, or --fashion FOLDER")
    return idx(files[0]), idx(files[1])
