"""The page's numbers as JSON that can stand inside a document."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from importlib.util import find_spec
from typing import Any

from accord.exploring.axes import Column
from accord.exploring.view import View
from accord.reporting.html import Markup

# What could end a script element, or a line in old readers of scripts.
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def page_data(view: View, *, live: bool) -> dict[str, Any]:
    """Return what the script works with; numbers that are missing are ``None``.

    Args:
        view: the front.
        live: whether a server answers; else there are only the stored points.
    """
    return {
        "live": live,
        "name": view.name,
        "steerable": view.steerable,
        "merged": view.merged,
        "missing": missing_formats(view) if live else {},
        "tasks": [task.name for task in view.tasks],
        "axes": [asdict(axis) for axis in view.axes],
        "points": [
            {"preference": list(preference), "dominated": dominated, **column_data(column)}
            for preference, dominated, column in zip(view.preferences, view.dominated, view.columns, strict=True)
        ],
        "knee": view.knee,
        "baselines": [{"name": b.name, "task": b.task, **column_data(b.column)} for b in view.baselines],
    }


def missing_formats(view: View) -> dict[str, str]:
    """Return the formats that cannot be exported here, and why."""
    if view.merged:
        return {"onnx": "is for networks that accord front trained"}
    if all(map(find_spec, ("onnx", "onnxscript"))):
        return {}
    return {"onnx": 'needs pip install "accord[onnx]"'}


def column_data(column: Column) -> dict[str, list[float | None]]:
    """Return the numbers of one model."""
    return {"value": _known(column.value), "low": _known(column.low), "high": _known(column.high)}


def embedded(data: Any) -> Markup:
    """Return ``data`` as JSON that is inert inside a script element, whatever text it holds."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Markup(text.translate(_ESCAPES).encode("utf-8", "replace").decode("utf-8"))


def _known(values: Iterable[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
