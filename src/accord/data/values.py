"""Cells to numbers and codes: the one place that knows what an Arrow column means.

Everything above works on NumPy arrays, batch by batch, so types may even differ between the files of one table.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from accord.data.engine import arrow

# What people write where a value is missing. "None" and "-" are not here: both are ordinary answers in surveys.
MISSING: frozenset[str] = frozenset({"", "?", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "null", "NULL"})

_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


class BadCell(ValueError):  # noqa: N818 - internal signal, turned into a DataError that names the column
    """A cell that cannot be read as asked: its ``position`` within the batch and its ``value``."""

    def __init__(self, position: int, value: str) -> None:
        super().__init__(value)
        self.position = position
        self.value = value


def codes(array: Any, missing: frozenset[str] = MISSING) -> tuple[np.ndarray, list[str]]:
    """Return ``(codes [n] int32, labels)`` of one Arrow array; -1 is missing, labels are those that occur.

    Labels are canonical text, so that ``12``, ``12.0`` and ``" 12"`` are one category wherever they come from.
    """
    indices, values = _dictionary(array)
    labels: dict[str, int] = {}
    lookup = np.full(len(values) + 1, -1, dtype=np.int32)  # the last entry serves index -1, a null
    # A slice keeps the whole dictionary, so only values that occur here may become labels.
    for position in np.flatnonzero(np.bincount(indices + 1, minlength=len(values) + 1)[1:]).tolist():
        text = label(values[position])
        if text is not None and text not in missing:
            lookup[position] = labels.setdefault(text, len(labels))
    return lookup[indices], list(labels)


def label(value: object) -> str | None:
    """Return the canonical text of one cell; ``None`` when it is missing (null or NaN)."""
    if isinstance(value, str):
        return value.strip()
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    return value.decode("utf-8", "replace").strip() if isinstance(value, bytes) else str(value)


def numbers(array: Any, missing: frozenset[str] = MISSING) -> np.ndarray:
    """Return one Arrow array as float64 ``[n]`` with NaN for missing; dates count seconds since 1970.

    Raises:
        BadCell: a string that is no number.
    """
    pa = arrow()
    kind = pa.types
    if is_text(value_type(array.type)):
        return _parsed(array, missing)
    if kind.is_dictionary(array.type):
        array = array.dictionary_decode()
    if kind.is_temporal(array.type):
        return seconds(array)
    if not (kind.is_integer(array.type) or kind.is_floating(array.type)):
        array = array.cast(pa.float64())
    return np.asarray(array.to_numpy(zero_copy_only=False), dtype=np.float64)


def seconds(array: Any) -> np.ndarray:
    """Return dates, timestamps or durations as float64 seconds (since 1970, or of length), NaN for missing."""
    pa = arrow()
    kind = pa.types
    if kind.is_date(array.type):
        array = array.cast(pa.timestamp("s"))
    per_second = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}[array.type.unit]
    whole = array.cast(pa.int64()) if not kind.is_time32(array.type) else array.cast(pa.int32())
    return np.asarray(whole.to_numpy(zero_copy_only=False), dtype=np.float64) / per_second


def texts(array: Any, missing: frozenset[str] = MISSING) -> list[str]:
    """Return the canonical text of every cell, ``""`` where it is missing."""
    index, labels = codes(array, missing)
    return [labels[i] if i >= 0 else "" for i in index.tolist()]


def number(text: str) -> float | None:
    """Parse one number as people write it (``12``, ``1e3``, ``1,234.5``); ``None`` when it is none."""
    if _GROUPED.fullmatch(text):
        text = text.replace(",", "")
    try:
        # Python also reads 1_000, which no data file means.
        return None if "_" in text else float(text)
    except ValueError:
        return None


def is_text(kind: Any) -> bool:
    """Whether an Arrow type holds text."""
    types = arrow().types
    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def value_type(kind: Any) -> Any:
    """Return the type of the values, looking through dictionary encoding."""
    return kind.value_type if arrow().types.is_dictionary(kind) else kind


def _dictionary(array: Any) -> tuple[np.ndarray, Sequence[object]]:
    types = arrow().types
    if types.is_decimal(array.type):
        array = array.cast(arrow().float64())
    if types.is_timestamp(array.type) and array.type.unit == "ns":
        # Python has no nanoseconds, and categories are Python values.
        array = array.cast(arrow().timestamp("us", array.type.tz), safe=False)
    if not types.is_dictionary(array.type):
        if types.is_null(array.type):
            return np.full(len(array), -1), []
        array = array.dictionary_encode()
    indices = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    return indices.astype(np.int64, copy=False), array.dictionary.to_pylist()


def _parsed(array: Any, missing: frozenset[str]) -> np.ndarray:
    index, labels = codes(array, missing)
    values = np.empty(len(labels) + 1)
    values[-1] = np.nan
    for position, text in enumerate(labels):
        value = number(text)
        if value is None:
            raise BadCell(int(np.argmax(index == position)), text)
        values[position] = value
    return values[index]
