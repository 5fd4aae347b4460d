"""Column encoders to plain data and back; nothing that is read is executed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast

from accord.data.columns.base import ColumnEncoder, ColumnFit, Options
from accord.data.columns.category import CategoricalEncoder, CategoricalFit
from accord.data.columns.date import DateEncoder, DateFit
from accord.data.columns.number import NumericEncoder, NumericFit
from accord.data.columns.words import EmbeddedTextEncoder, EmbeddedTextFit, HashedTextEncoder, HashedTextFit
from accord.data.numeric import Scale
from accord.data.schema import Column
from accord.data.text import TextEncoder
from accord.errors import DataError


def to_state(encoder: ColumnEncoder) -> dict[str, Any]:
    """Return plain data for JSON; a frozen text encoder itself is not part of it."""
    if isinstance(encoder, EmbeddedTextEncoder):
        return {"kind": encoder.kind, "name": encoder.name, "scales": [asdict(scale) for scale in encoder.scales]}
    return {"kind": encoder.kind, **asdict(cast(Any, encoder))}


def from_state(state: Mapping[str, Any], text: TextEncoder | None) -> ColumnEncoder:
    """Rebuild a column encoder from :func:`to_state`; ``text`` is the frozen encoder where one was used."""
    kind, name = state["kind"], str(state["name"])
    if kind == "numeric":
        return NumericEncoder(name, _scale(state["scale"]), bool(state["indicator"]))
    if kind == "date":
        parts = {part: _scale(scale) for part, scale in state["parts"].items()}
        return DateEncoder(name, str(state["format"]), parts, bool(state["indicator"]))
    if kind == "categorical":
        return CategoricalEncoder(name, tuple(map(str, state["categories"])), bool(state["textual"]))
    if kind == "text":
        return HashedTextEncoder(name, int(state["width"]))
    if kind == "embedding":
        if text is None:
            raise DataError(f"column {name!r} was read by a frozen text encoder; pass the same one as text=")
        return EmbeddedTextEncoder(name, tuple(_scale(scale) for scale in state["scales"]), text)
    raise DataError(f"column {name!r} has an encoder of unknown kind {kind!r}")


def _scale(state: Mapping[str, Any]) -> Scale:
    return Scale(float(state["centre"]), float(state["factor"]), tuple(map(float, state["edges"])))


def fit_of(column: Column, options: Options, text: str | TextEncoder) -> ColumnFit:
    """Return the unfitted encoder of a feature column."""
    if column.kind == "numeric":
        return NumericFit(column.name, options)
    if column.kind == "date":
        return DateFit(column.name, column.format, options)
    if column.kind in ("categorical", "boolean"):
        return CategoricalFit(column.name, options)
    if column.kind != "text":
        raise DataError(f"column {column.name!r} is of kind {column.kind!r}, which no model can read")
    return HashedTextFit(column.name, options) if isinstance(text, str) else EmbeddedTextFit(column.name, options, text)
