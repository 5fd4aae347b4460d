"""Differences between methods that merge the same fine-tunings, seed by seed, and who is better by them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from math import sqrt

from benchmarks.zoo.lines import Line, judged
from benchmarks.zoo.methods import REFERENCE
from scipy.special import stdtr

from accord.comparing import holm
from accord.reporting.numbers import mean_interval

ENDS = ("base", "individual", "joint training")
# Seeds from which an interval is one: with two, a t interval is twelve times as wide as their spread.
ENOUGH, TOO_FEW = 3, "too few seeds to say"
LEVEL = 0.05


def by_method(lines: Sequence[Line], kind: str) -> dict[str, dict[int, Line]]:
    """Return the lines of a zoo that judge a method, by method and seed."""
    found: dict[str, dict[int, Line]] = {}
    for line in lines:
        if line["zoo"] == kind and "default" in line:
            found.setdefault(line["method"], {})[line["seed"]] = line
    return found


def gaps(found: Mapping[str, Mapping[int, Line]], name: str, reference: str) -> list[float]:
    """Return a method's mean accuracy less that of another, seed by seed."""
    own, other = found[name], found.get(reference, {})
    common = sorted(own.keys() & other.keys())
    return [
        statistics.fmean(judged(own[seed]).values()) - statistics.fmean(judged(other[seed]).values()) for seed in common
    ]


def interval(values: Sequence[float]) -> str:
    """Return a mean difference, with its 95 % t interval over seeds where these are :data:`ENOUGH`."""
    if not values:
        return ""
    mean, half = mean_interval(values)
    mean = 0.0 if abs(mean) < 0.05 else mean
    return f"{mean:+.1f} [{mean - half:+.1f}, {mean + half:+.1f}]" if len(values) >= ENOUGH else f"{mean:+.1f}"


def chance(values: Sequence[float]) -> float:
    """Return the two-sided p-value of the paired t test: 0.05 where an end of :func:`interval` is 0."""
    mean, deviation = statistics.fmean(values), statistics.stdev(values)
    if not deviation:
        return float(mean == 0)
    return 2 * float(stdtr(len(values) - 1, -abs(mean) / deviation * sqrt(len(values))))


def verdict(lines: Sequence[Line], kind: str) -> str:
    """Return who is better and worse than the average and than tuned task arithmetic.

    That is by the intervals over seeds, each for itself; and, of these, who still is when the number of methods is
    allowed for.
    """
    found = by_method(lines, kind)
    return "\n".join(_against(found, reference) for reference in ("average", REFERENCE))


def _against(found: Mapping[str, Mapping[int, Line]], reference: str) -> str:
    differences = {name: gaps(found, name, reference) for name in found if name not in (*ENDS, reference)}
    enough = {name: own for name, own in differences.items() if len(own) >= ENOUGH}
    chances = {name: chance(own) for name, own in enough.items()}
    sorted_out: dict[str, list[str]] = {"better": [], "no clear difference": [], "worse": [], TOO_FEW: []}
    for name in differences:
        sorted_out[_outcome(enough[name], chances[name]) if name in enough else TOO_FEW].append(name)
    parts = [
        f"{outcome}: {', '.join(names) or 'none'}"
        for outcome, names in sorted_out.items()
        if names or outcome != TOO_FEW
    ]
    left = [name for name, value in holm(chances).items() if value < LEVEL]
    title = "plain averaging" if reference == "average" else f"tuned {reference}"
    return (
        f"- Against {title}: {'; '.join(parts)}. Corrected for {len(chances)} comparisons (Holm), these differences "
        f"remain: {', '.join(left) or 'none'}."
    )


def _outcome(differences: Sequence[float], chance: float) -> str:
    if chance >= LEVEL:
        return "no clear difference"
    return "better" if statistics.fmean(differences) > 0 else "worse"
