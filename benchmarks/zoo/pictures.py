"""The zoo of pictures: digits and clothes as they are, turned, and inverted, and a transformer trained from scratch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from benchmarks.study.data.multimnist import mnist
from benchmarks.zoo.network import WIDTH, Encoder
from benchmarks.zoo.task import Task
from benchmarks.zoo.train import Recipe, Zoo, fine_tune, fit
from torch import nn

from accord.data.datasets.readers import idx
from accord.errors import DataError

# Where Debian's package dataset-fashion-mnist puts it; the folder of `accord data fashion-mnist` has the same files.
FASHION = Path("/usr/share/datasets/fashion-mnist")
PARTS = {"base": 600, "train": 5_000, "adapt": 256, "validation": 300, "test": 600}
BASE, TUNED = Recipe(epochs=6, rate=2e-3, batch=64), Recipe(epochs=4, rate=2e-3, batch=64)
BLOCKS = "trunk.layers.*.mlp"
# Steps of learned methods, rows of every task in each, and the methods that are judged: all.
STEPS, SIZE, ONLY = 50, 16, ()
# Tasks between which fronts go.
FRONT = ("digits", "clothes", "digits turned")


def load(_seed: int, fashion: Path = FASHION) -> list[Task]:
    """Return the tasks, whatever the seed of the same pictures ``[N, 1, 28, 28]`` in [0, 1]."""
    digits, clothes = mnist("train"), _clothes(fashion)
    rng = np.random.default_rng(0)

    def task(name: str, source: tuple[np.ndarray, np.ndarray], change: object = None) -> Task:
        images, labels = source
        order = rng.permutation(len(images))
        parts, start = {}, 0
        for part, size in PARTS.items():
            chosen = order[start : start + size]
            picked = change(images[chosen]) if callable(change) else images[chosen]
            values = torch.from_numpy(np.ascontiguousarray(picked)).float().div(255)[:, None]
            parts[part] = values, torch.from_numpy(labels[chosen].astype(np.int64))
            start += size
        return Task(name, int(labels.max()) + 1, parts)

    return [
        task("digits", digits),
        task("clothes", clothes),
        task("digits turned", digits, lambda images: np.rot90(images, axes=(1, 2))),
        task("digits inverted", digits, lambda images: 255 - images),
        task("clothes upside down", clothes, lambda images: images[:, ::-1]),
        task("clothes inverted", clothes, lambda images: 255 - images),
    ]


def untrained(tasks: list[Task], seed: int = 0) -> Zoo:
    """Return a zoo of initial weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Zoo.of(Encoder(), {task.name: nn.Linear(WIDTH, task.classes) for task in tasks})


def train(tasks: list[Task], seed: int) -> Zoo:
    """Train a base on few pictures of all tasks, then its fine-tunings on many others of one each."""
    generator, first = torch.Generator().manual_seed(seed), untrained(tasks, seed)
    trunk = first.base.get_submodule("trunk")
    fit(trunk, first.heads, tasks, "base", BASE, generator, train_heads=True)
    return fine_tune(Zoo.of(trunk, first.heads), tasks, TUNED, generator)


def _clothes(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    files = [folder / f"train-{what}-ubyte.gz" for what in ("images-idx3", "labels-idx1")]
    if not all(file.is_file() for file in files):
        raise DataError(f"no Fashion-MNIST in {folder}: apt-get install dataset-fashion-mnist, or --fashion FOLDER")
    return idx(files[0]), idx(files[1])
