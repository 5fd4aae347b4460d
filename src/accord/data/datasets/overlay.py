"""Several small pictures on one canvas, each a task: MultiMNIST, Multi-Fashion, their mixture, and three at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from accord.data.datasets.readers import idx
from accord.errors import ConfigurationError, DataError

CANVAS = 36
NAMES = {2: ("left", "right"), 3: ("left", "right", "bottom")}


@dataclass(frozen=True)
class Pictures:
    """Pictures ``[N, height, width]`` and their classes ``[N]``, uint8."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


@dataclass(frozen=True)
class Overlaid:
    """Canvases ``[N, canvas, canvas]`` and the classes of their pictures ``[N, T]``, uint8; ``tasks`` are T names."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    tasks: tuple[str, ...]

    def columns(self) -> dict[str, NDArray[np.uint8]]:
        """Return a table: ``pixel_0``, ... row by row, and a label column per task."""
        flat = self.images.reshape(len(self.images), -1).T
        pixels = {f"pixel_{place}": np.ascontiguousarray(column) for place, column in enumerate(flat)}
        return {**pixels, **{name: self.labels[:, t].copy() for t, name in enumerate(self.tasks)}}


def read_pictures(folder: str | Path, part: str, prefix: str = "") -> Pictures:
    """Read ``train`` or ``t10k`` of MNIST, Fashion-MNIST or whatever else is kept in such IDX files, packed or not.

    Raises:
        DataError: a file is missing or damaged, or they do not belong together.
    """
    images, labels = (
        idx(_file(Path(folder), f"{prefix}{part}-{what}-ubyte")) for what in ("images-idx3", "labels-idx1")
    )
    if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
        raise DataError(f"{folder}: {part} has images {list(images.shape)} for labels {list(labels.shape)}")
    return Pictures(images, labels)


def overlay(sources: Sequence[Pictures], rows: int, *, seed: int, canvas: int = CANVAS) -> Overlaid:
    """Put one random picture of each source on every canvas; where they overlap, the brighter pixel is seen.

    Two pictures stand at the top left and the bottom right, as Sabour et al. (Dynamic Routing Between Capsules, 2017)
    shift them by up to four pixels, in the fixed form of Sener and Koltun (Multi-Task Learning as Multi-Objective
    Optimization, 2018) that the literature on fronts uses: 28 by 28 pixels on 36 by 36. Three stand at the top left,
    the top right and the bottom middle; that arrangement is ours. Pictures are drawn independently and with
    replacement, so a class says nothing about its neighbour's. Split the sources first, and no picture is in
    two parts.

    Args:
        sources: two or three, which may be the same.
        rows: how many canvases.
        seed: of the draws.
        canvas: height and width, at least those of the pictures.

    Raises:
        ConfigurationError: there are not two or three sources, or the canvas is too small.
    """
    if len(sources) not in NAMES:
        raise ConfigurationError(f"two or three pictures go on a canvas, not {len(sources)}")
    largest = max(max(source.images.shape[1:]) for source in sources)
    if canvas < largest:
        raise ConfigurationError(f"a canvas of {canvas} pixels is too small for pictures of {largest}")
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(0, len(source.images), rows) for source in sources]
    images = np.zeros((rows, canvas, canvas), np.uint8)
    for source, chosen, (down, across) in zip(sources, drawn, _places(sources, canvas), strict=True):
        high, wide = source.images.shape[1:]
        spot = images[:, down : down + high, across : across + wide]
        np.maximum(spot, source.images[chosen], out=spot)
    labels = np.stack([source.labels[chosen] for source, chosen in zip(sources, drawn, strict=True)], axis=1)
    return Overlaid(images, labels, NAMES[len(sources)])


def _places(sources: Sequence[Pictures], canvas: int) -> list[tuple[int, int]]:
    room = [(canvas - source.images.shape[1], canvas - source.images.shape[2]) for source in sources]
    if len(sources) == 2:
        return [(0, 0), room[1]]
    return [(0, 0), (0, room[1][1]), (room[2][0], room[2][1] // 2)]


def _file(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise DataError(f"{folder} has neither {name}.gz nor {name}; put MNIST's or Fashion-MNIST's files there")
