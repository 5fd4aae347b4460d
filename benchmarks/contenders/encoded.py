"""Preparation as the examples of both peers do it: ``LabelEncoder`` for categories, ``MinMaxScaler`` for numbers."""

# pyright: reportMissingImports=false
from __future__ import annotations

from dataclasses import dataclass
from functools import cache

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
def encode(files: census.Files) -> Encoded:
    """Read and encode; vocabularies and ranges are those of both files together, as in the examples."""
    import pandas as pd
    from sklearn.preprocessing import LabelEncoder, MinMaxScaler

    parts = [pd.read_parquet(path) for path in (files.train, files.test)]
    labels = census.labels(parts[0])
    frame = pd.concat(parts, ignore_index=True).drop(columns=[census.WEIGHT, *census.TARGETS])
    categories = [name for name in frame if name not in census.NUMERIC]
    for name in categories:
        column = frame[name].to_numpy()
        frame[name] = LabelEncoder().fit_transform(np.where(pd.isna(column), "?", column))
    numbers = list(census.NUMERIC)
    frame[numbers] = MinMaxScaler().fit_transform(frame[numbers].astype(np.float32))
    arrays = {name: frame[name].to_numpy(np.float32 if name in numbers else np.int64) for name in frame}
    rows, _ = census.split_rows(len(labels))
    return Encoded(
        {name: int(arrays[name].max()) + 1 for name in categories},
        {name: np.ascontiguousarray(array[: len(labels)][rows]) for name, array in arrays.items()},
        {name: np.ascontiguousarray(array[len(labels) :]) for name, array in arrays.items()},
        labels[rows],
    )
