"""The few facts about a column that decide what it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from accord.data.engine import arrow
from accord.data.values import codes, is_text, number, numbers, value_type


@dataclass(frozen=True)
class Profile:
    """Facts about one column, from the rows that were read.

    Attributes:
        name: column name.
        type: Arrow type of the values.
        values: float64 ``[n]`` with NaN for missing when the column is numeric, boolean or temporal, else ``None``.
        index: codes ``[n]`` into ``labels`` with -1 for missing when it is text, else ``None``.
        labels: the different texts; empty when it is not text.
    """

    name: str
    type: Any
    values: np.ndarray | None
    index: np.ndarray | None
    labels: list[str]

    @property
    def rows(self) -> int:
        """Number of rows read."""
        return len(self.values) if self.values is not None else len(self.index) if self.index is not None else 0

    @cached_property
    def present(self) -> int:
        """Number of rows that are not missing."""
        if self.values is not None:
            return int(self.rows - np.isnan(self.values).sum())
        return int((self.index >= 0).sum()) if self.index is not None else 0

    @cached_property
    def uniques(self) -> np.ndarray:
        """The different numbers, sorted; of a text column those its labels can be read as."""
        if self.values is not None:
            return np.unique(self.values[~np.isnan(self.values)])
        found = [number(text) for text in self.labels]
        return np.unique([value for value in found if value is not None])

    @property
    def distinct(self) -> int:
        """Number of different values."""
        return len(self.labels) if self.values is None else len(self.uniques)

    @property
    def missing(self) -> float:
        """Share of missing values."""
        return 1.0 - self.present / self.rows if self.rows else 0.0

    @cached_property
    def parsed(self) -> float:
        """Share of the different texts that are numbers."""
        good = sum(number(text) is not None for text in self.labels)
        return good / len(self.labels) if self.labels else 0.0

    @cached_property
    def tokens(self) -> float:
        """Mean number of words of a text value, over up to 2,000 different ones."""
        some = self.labels[:2000]
        return sum(len(text.split()) for text in some) / len(some) if some else 0.0

    def digest(self) -> bytes:
        """Return a fingerprint that equal columns share, whatever integer or float type they are stored in."""
        state = hashlib.blake2b(digest_size=16)
        if self.values is not None:
            state.update(b"n" + np.where(np.isnan(self.values), np.nan, self.values + 0.0).tobytes())
        elif self.index is not None:
            order = np.argsort(np.array(self.labels, dtype=object)) if self.labels else np.empty(0, dtype=int)
            rank = np.empty(len(order) + 1, dtype=np.int32)
            rank[order], rank[-1] = np.arange(len(order)), -1
            state.update(b"t" + rank[self.index].tobytes() + "\0".join(sorted(self.labels)).encode("utf-8", "replace"))
        return state.digest()

    def examples(self, count: int = 3) -> tuple[str, ...]:
        """Return a few values: the first texts, or numbers spread over the range."""
        if self.values is None:
            return tuple(self.labels[:count])
        if arrow().types.is_temporal(self.type):
            return tuple(str(np.datetime64(int(x), "s")) for x in self.uniques[:count])
        spots = np.unique(np.linspace(0, len(self.uniques) - 1, count).astype(int)) if len(self.uniques) else []
        return tuple(f"{self.uniques[i]:g}" for i in spots)


def profile(name: str, array: Any, missing: frozenset[str]) -> Profile:
    """Return the facts about one Arrow array of a type that is not nested."""
    kind = value_type(array.type)
    if is_text(kind) or arrow().types.is_binary(kind):
        index, labels = codes(array, missing)
        return Profile(name, kind, None, index, labels)
    return Profile(name, kind, numbers(array, missing), None, [])
