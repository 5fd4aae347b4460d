"""Linear scales and round ticks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from accord.reporting.numbers import MINUS, UNITS, fixed

# Beyond this a float32 loss has diverged: nothing that is still learning can be seen on an axis that holds it.
DRAWABLE = 1e30


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps ``[low, high]`` of the data to ``[start, end]`` of the picture; values outside are held at the edge."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        part = (np.clip(np.asarray(values, dtype=np.float64), self.low, self.high) - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def at(self, value: float) -> float:
        """Return the place of one value."""
        return float(self(np.array([value]))[0])


def drawable(values: np.ndarray) -> np.ndarray:
    """Return which values can be placed on an axis ``[N] bool``."""
    values = np.asarray(values, dtype=np.float64)
    return np.isfinite(values) & (np.abs(np.where(np.isfinite(values), values, 0)) <= DRAWABLE)


def domain(values: np.ndarray, *, margin: float = 0.06, cut: float = 12.0) -> tuple[float, float, int]:
    """Return an axis range and how many values lie beyond it.

    A few wild values (the first steps, a spike) would press everything else flat. So where the extremes reach further
    than ``cut`` times the span of the middle 96 %, the axis ends at that span's edge plus half of it.

    Args:
        values: ``[N]`` drawable values.
        margin: empty share of the span left at each end.
        cut: how many spans of the middle an extreme may reach.

    Returns:
        ``(low, high, beyond)`` with ``low < high``.
    """
    if not values.size:
        return 0.0, 1.0, 0
    low, high = float(values.min()), float(values.max())
    inner_low, inner_high = (float(q) for q in np.quantile(values, [0.02, 0.98]))
    inner = inner_high - inner_low
    if inner > 0:
        low = inner_low - inner / 2 if inner_low - low > cut * inner else low
        high = inner_high + inner / 2 if high - inner_high > cut * inner else high
    pad = max((high - low) * margin, abs(high) * 1e-6, 1e-9) if high > low else max(abs(high) * 0.1, 1e-9)
    low, high = low - pad, high + pad
    return low, high, int(((values < low) | (values > high)).sum())


def ticks(low: float, high: float, count: int = 4, *, whole: bool = False) -> list[float]:
    """Return at most ``2 * count`` round values in ``[low, high]``, steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return []
    raw = span / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((power * m for m in (1, 2, 5, 10)), key=lambda s: abs(math.log(s / raw)))
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [n * step for n in range(first, min(last, first + 4 * count) + 1)]


def labels(values: list[float]) -> list[str]:
    """Return texts for ticks, all with the decimals that their step needs."""
    if not values:
        return []
    step = abs(values[1] - values[0]) if len(values) > 1 else abs(values[0]) or 1.0
    largest = max(abs(v) for v in values)
    if largest >= 10_000 or step < 1e-6:
        return [_prefixed(v, step) if abs(v) > step / 2 else "0" for v in values]
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    return [fixed(v, places) if abs(v) > step / 2 else "0" for v in values]


def _prefixed(value: float, step: float) -> str:
    # As many digits as it takes to tell a tick from the next, in 9,999.5 of steps of 0.5 say.
    digits = math.floor(math.log10(abs(value))) - math.floor(math.log10(step)) + 1
    scale, unit = next(((s, u) for s, u in UNITS if abs(value) >= s), (1.0, ""))
    return f"{value / scale:.{max(4, digits)}g}{unit}".replace("-", MINUS)
