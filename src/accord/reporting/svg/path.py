"""Compact path data."""

from __future__ import annotations

import numpy as np


def path(xs: np.ndarray, ys: np.ndarray) -> str:
    """Return ``d`` of a polyline through ``[N]`` points, to a tenth of a unit, in relative steps to stay small."""
    points = np.rint(np.stack([xs, ys], axis=1) * 10).astype(np.int64)
    first, steps = points[0], np.diff(points, axis=0)
    start = f"M{_tenth(first[0])} {_tenth(first[1])}"
    return start + ("l" + " ".join(f"{_tenth(dx)} {_tenth(dy)}" for dx, dy in steps) if len(steps) else "")


def _tenth(value: np.int64) -> str:
    return f"{value / 10:g}"
