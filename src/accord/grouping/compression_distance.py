"""Tasks whose labels are shorter to write down together than apart."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError, suggest
from accord.grouping.affinity import Evidence
from accord.grouping.latest import Latest
from accord.method import Method

Compressor = Literal["lzma", "bz2", "zlib"]
RAW: list[dict[str, int]] = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 0, "lp": 0, "pb": 0}]
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_RAW, filters=RAW),
    "bz2": bz2.compress,
    "zlib": lambda data: zlib.compress(data, 9),
}
MOST = 15


class CompressionDistance(Latest):
    """One less the normalised compression distance of two tasks' labels; no model is trained.

    ``A_ij = 1 - (C(xy) - min(C(x), C(y))) / max(C(x), C(y))`` with C the length after compression: about 0 (neutral)
    where labels are independent, towards 1 where one follows from the other; the same in both directions. ``xy`` is one
    symbol per row for both labels, so that the compressor can see which labels occur together (the shorter of both
    orders counts). Lengths are less that of
    a constant column, which is the compressor's overhead.

    Shapes: ``labels [T, N]`` whole numbers, -1 where missing; beyond 15 classes the rarest share a symbol, as for
    numbers cut into quantiles. A constant column has NaN. Cost: O(T^2 N), some milliseconds per pair of 4,000 rows.

    Args:
        tasks: T.
        compressor: ``lzma`` has an adaptive range coder, which counts fractions of a bit; ``bz2`` and ``zlib`` spend a
            whole bit on every row and tell only strong relations.

    Source: Cilibrasi and Vitanyi, Clustering by Compression, 2005; Obbad et al., ZIP-FIT, 2024, select training data
    for a task by the same distance between texts.
    """

    method: ClassVar[Method] = Method(
        title="Normalised compression distance",
        paper="Clustering by Compression",
        year=2005,
        url="https://arxiv.org/abs/cs/0312044",
        needs="data",
        cost="O(T^2 N), no training",
        catalogue=(302,),
    )
    hears = ("labels",)

    def __init__(self, tasks: int, compressor: Compressor = "lzma") -> None:
        super().__init__(tasks)
        if compressor not in get_args(Compressor):
            raise ConfigurationError(f"unknown compressor {compressor!r}. {suggest(compressor, get_args(Compressor))}")
        self.compressor: str = compressor

    def compare(self, evidence: Evidence) -> Tensor:
        assert evidence.labels is not None
        columns = [_symbols(column.numpy()) for column in evidence.labels]
        idle = self._length(np.zeros(len(columns[0]), np.uint8))
        alone = [self._length(column) - idle for column in columns]
        found = torch.eye(self.tasks, dtype=torch.float64)
        for j in range(self.tasks):
            for i in range(j):
                both = min(self._length(_pairs(columns[a], columns[b])) for a, b in ((i, j), (j, i))) - idle
                least, most = sorted((alone[i], alone[j]))
                found[i, j] = found[j, i] = 1 - (both - least) / most if least > 0 else torch.nan
        return found

    def _length(self, column: np.ndarray) -> int:
        return len(COMPRESS[self.compressor](column.tobytes()))


def _pairs(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return first * np.uint8(MOST + 1) + second


def _symbols(labels: np.ndarray) -> np.ndarray:
    """Return the labels ``[N]`` as numbers up to 15, the most frequent first."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    ranks = np.empty(len(counts), np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return np.minimum(ranks[codes], MOST).astype(np.uint8)
