"""Numbers as people read them: as many digits as the uncertainty supports, a real minus sign, no false precision."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

MINUS, NONE = "\u2212", "\u2013"
UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def finite(value: object) -> float:
    """Return ``value`` as a float; NaN for anything that is not a finite number (``None``, text, infinities)."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return math.nan
    try:
        number = float(value)
    except OverflowError:
        return math.nan
    return number if math.isfinite(number) else math.nan


def decimals(uncertainty: float, *, significant: int = 2) -> int:
    """Return how many decimals show ``uncertainty`` with two significant digits, between 0 and 6."""
    if not math.isfinite(uncertainty) or uncertainty <= 0:
        return 3
    return min(max(significant - 1 - math.floor(math.log10(uncertainty)), 0), 6)


def fixed(value: float, places: int, *, sign: bool = False) -> str:
    """Return ``value`` with ``places`` decimals and thousands commas; an en dash when it is not finite."""
    if not math.isfinite(value):
        return NONE
    if abs(value) >= 1e9 or 0 < abs(value) < 0.5 * 10.0**-6:
        return _minus(f"{value:{'+' if sign else ''}.2e}")
    text = f"{value:{'+' if sign else ''},.{places}f}"
    # -0.00 and +0.00 claim a direction that the digits do not show.
    return text.lstrip("+-") if float(text.replace(",", "")) == 0 else _minus(text)


def general(value: float, significant: int = 3) -> str:
    """Return ``value`` with about ``significant`` digits."""
    if not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude < 7:
        return _minus(f"{value:.{significant - 1}e}")
    return fixed(value, min(max(significant - 1 - magnitude, 0), 6))


def short(value: float) -> str:
    """Return a large number with a unit prefix: ``12.5k``, ``3.1M``."""
    for scale, unit in UNITS:
        if math.isfinite(value) and abs(value) >= scale:
            return f"{general(value / scale)}{unit}"
    return general(value)


def duration(seconds: float) -> str:
    """Return seconds as ``12.3 s``, ``4 min 05 s`` or ``2 h 10 min``."""
    if not math.isfinite(seconds):
        return NONE
    if seconds < 59.95:
        return f"{general(seconds)} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def mean_interval(values: Sequence[object], *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the mean over seeds and how far it may be off.

    That is the half-width of the Student t interval from three values on. With two, one degree of freedom would widen
    it twelvefold and say nothing, so half their range is returned; with one it is NaN.
    """
    numbers = np.array([n for n in map(finite, values) if not math.isnan(n)])
    if not numbers.size:
        return math.nan, math.nan
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = finite(numbers.mean()), finite(numbers.std(ddof=1 if numbers.size > 2 else 0))
    if numbers.size < 3:
        return mean, spread if numbers.size == 2 else math.nan
    from scipy.special import stdtrit  # costs a command half a second that rarely needs it

    return mean, spread * float(stdtrit(numbers.size - 1, 0.5 + confidence / 2)) / math.sqrt(numbers.size)


def percent(share: float) -> str:
    """Return a share of 1 as whole per cent; what is not quite none or all never reads as 0 % or 100 %."""
    if not math.isfinite(share):
        return NONE
    shown = f"{100 * share:.0f}"
    edge = "< 1" if shown == "0" and share > 0 else "> 99" if shown == "100" and share < 1 else shown
    return f"{edge}\u00a0%"


def plural(count: int, noun: str) -> str:
    """Return ``1 task``, ``2 tasks``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _minus(text: str) -> str:
    return text.replace("-", MINUS)
