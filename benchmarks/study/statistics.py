"""Gains over single-task models, and paired intervals over seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Outcome = Literal["better", "worse", "no clear difference"]
Metrics = Mapping[str, float]


def delta_m(metrics: Metrics, single: Metrics, sign: float) -> float:
    """Return the mean relative gain over ``single`` in per cent; ``sign`` is 1 where more of the metric is better."""
    gains = [sign * (metrics[task] - single[task]) / abs(single[task]) for task in single]
    return 100.0 * math.fsum(gains) / len(gains)


@dataclass(frozen=True)
class Difference:
    """A mean of paired differences with its interval.

    Attributes:
        p: two-sided, of Student's t test that the mean is 0.
    """

    mean: float
    low: float
    high: float
    p: float


def paired(ours: Sequence[float], theirs: Sequence[float], confidence: float = 0.95) -> Difference:
    """Return mean(ours - theirs) over seeds with Student's interval.

    Equal numbers throughout have the interval [0, 0] and p = 1. NaN anywhere gives NaN, and p = 1.
    """
    from scipy.stats import t

    gaps = np.subtract(ours, theirs)
    mean, freedom = float(gaps.mean()), len(gaps) - 1
    error = float(gaps.std(ddof=1)) / math.sqrt(len(gaps))
    if not math.isfinite(mean):
        return Difference(math.nan, math.nan, math.nan, 1.0)
    half = float(t.ppf(0.5 + confidence / 2, freedom)) * error
    p = float(2 * t.sf(abs(mean) / error, freedom)) if error else float(mean == 0.0)
    return Difference(mean, mean - half, mean + half, p)


def outcome(mean: float, p: float, level: float = 0.05) -> Outcome:
    """Say which side is ahead, if the (corrected) ``p`` allows to say so; what diverged is worse."""
    if math.isnan(mean):
        return "worse"
    if not p < level:
        return "no clear difference"
    return "better" if mean > 0 else "worse"
