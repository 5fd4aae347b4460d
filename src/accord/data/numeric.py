"""Numbers on a common scale that a few wild values cannot spoil."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

BINS = 48
# Standardised values approach this bound and never pass it.
LIMIT = 3.0
# Sums and differences of two values up to here are finite.
_HUGE = 1e300


@dataclass(frozen=True, slots=True)
class Scale:
    """A fitted map from raw numbers to standardised ones: ``z = (x - centre) * factor``, smoothly bounded by 3.

    The bound is ``z / sqrt(1 + (z / 3)^2)``, monotone, so no order is lost (robust scaling and smooth clipping as in
    Holzmüller, Grinsztajn, Steinwart: "Better by Default", 2024). Unlike there, where the quartiles coincide (a
    column that is mostly zero) the spread is that of the values that differ from the median, because the range, which
    the paper uses, lets one outlier press all others together.

    Attributes:
        centre: median.
        factor: 1 / interquartile range; 0 for a constant.
        edges: rising bin edges in standardised units.
    """

    centre: float
    factor: float
    edges: tuple[float, ...]

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return standardised float32 values of the same shape; NaN (missing) becomes 0."""
        with np.errstate(over="ignore"):
            z = ((np.clip(values, -_HUGE, _HUGE) - self.centre) * self.factor).astype(np.float32)
        np.clip(z, -1e18, 1e18, out=z)  # already at the bound, and the square stays finite
        z /= np.sqrt(1.0 + np.square(z / LIMIT))
        np.clip(z, -LIMIT, LIMIT, out=z)
        np.copyto(z, 0.0, where=np.isnan(z))
        return z


def fit_scale(values: np.ndarray, bins: int = BINS) -> Scale:
    """Fit a :class:`Scale` to finite ``values [n]`` (none at all gives the map to 0).

    Args:
        values: float64 without NaN.
        bins: number of bins between the edges.
    """
    if not len(values):
        return Scale(0.0, 0.0, (-1.0, 1.0))
    values = np.clip(values, -_HUGE, _HUGE)
    centre = float(np.median(values))
    spread = _spread(values) or _spread(values[values != centre]) or float(np.ptp(values))
    # Denormal spreads would make the factor infinite.
    factor = 1.0 / spread if spread > 1e-300 else 0.0
    z = Scale(centre, factor, ())(values).astype(np.float64)
    return Scale(centre, factor, bin_edges(z, bins))


def bin_edges(values: np.ndarray, bins: int) -> tuple[float, ...]:
    """Return up to ``bins + 1`` rising edges with about equally many values between each two.

    A value that alone fills a bin (zero, in many columns) becomes an edge of its own, and the other edges are spread
    over the rest; plain quantiles would coincide there and waste all those bins.
    """
    unique, counts = np.unique(values, return_counts=True)
    if len(unique) == 1:
        return (float(unique[0]) - 1.0, float(unique[0]) + 1.0)
    if len(unique) <= bins + 1:
        return tuple(unique.tolist())
    heavy = unique[counts * bins > len(values)]
    rest = np.sort(values[~np.isin(values, heavy)])
    grid = np.linspace(0, len(rest) - 1, max(bins + 1 - len(heavy), 2)).round().astype(int)
    return tuple(np.unique(np.concatenate([heavy, rest[grid]])).tolist())


@dataclass(slots=True)
class ScaleFit:
    """Collects what a :class:`Scale` is fitted to: a sample of the values, and whether any row lacks one."""

    held: list[np.ndarray] = field(default_factory=list)
    missing: bool = False

    def update(self, values: np.ndarray, picked: np.ndarray) -> None:
        """Add one batch: all its ``values [n]`` and the mask ``picked [n]`` of those in the sample."""
        absent = np.isnan(values)
        self.missing |= bool(absent.any())
        self.held.append(values[picked & ~absent])

    def finish(self, bins: int) -> Scale:
        """Fit to all that was collected."""
        return fit_scale(np.concatenate(self.held) if self.held else np.empty(0), bins)


def _spread(values: np.ndarray) -> float:
    if not len(values):
        return 0.0
    low, high = np.quantile(values, [0.25, 0.75])
    return float(high - low)
