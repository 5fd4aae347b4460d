"""Preparation as the examples of both peers do it: ``LabelEncoder`` for categories, ``MinMaxScaler`` for numbers."""

# pyright: reportMissingImports=false
from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import census
import numpy as np


@dataclass(frozen=True)
class Encoded:
    """Arrays that both peers take.

    Attributes:
        categories: sizes of the vocabularies by column name.
        train: ``[n]`` per column, and test likewise; codes int64, numbers float32.
        labels: ``[n, 2]`` float32 of the training rows.
    """

    categories: dict[str, int]
    train: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    labels: np.ndarray


@cache
def encode(table: Path) -> Encoded:
    """Read and encode; vocabularies and ranges are those of all rows together, as in the examples."""
    import pandas as pd
    from sklearn.preprocessing import LabelEncoder, MinMaxScaler

    frame = pd.read_parquet(table)
    part = frame.pop(census.PART).to_numpy()
    train, test = np.flatnonzero(part == "train"), np.flatnonzero(part == "test")
    labels = census.labels(frame)[train]
    frame = frame.drop(columns=[*census.TARGETS])
    numbers = list(census.NUMERIC)
    categories = [name for name in frame if name not in numbers]
    for name in categories:
        column = frame[name].to_numpy()
        frame[name] = LabelEncoder().fit_transform(np.where(pd.isna(column), "?", column))
    frame[numbers] = MinMaxScaler().fit_transform(frame[numbers].astype(np.float32))
    arrays = {name: frame[name].to_numpy(np.float32 if name in numbers else np.int64) for name in frame}
    return Encoded(
        {name: int(arrays[name].max()) + 1 for name in categories},
        {name: array[train] for name, array in arrays.items()},
        {name: array[test] for name, array in arrays.items()},
        labels,
    )
