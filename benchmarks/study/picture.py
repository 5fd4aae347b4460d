"""A dot per method with its interval, as SVG in the style of the documentation's other pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from benchmarks.study.methods import TUNED
from benchmarks.study.summary import Row
from docs.pictures import BLUE, GREY, ORANGE, TEXT, svg

LEFT, RIGHT, LINE = 190, 640, 16
COLOURS = {"better": BLUE, "worse": ORANGE, "no clear difference": GREY}


def dots(rows: Sequence[Row], title: str) -> str:
    """Draw the difference to tuned plain weights of every method; those far off the others sit at the edge."""
    shown = [row for row in rows if row.name != TUNED]
    low, high = limits(shown)

    def across(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (min(max(value, low), high) - low) / (high - low)

    bottom = 40 + LINE * len(shown)
    marks = [
        f'<text x="{LEFT}" y="16" fill="{TEXT}">{title}: delta-m minus that of tuned plain weights, points</text>',
        f'<line x1="{across(0):.1f}" y1="28" x2="{across(0):.1f}" y2="{bottom}" stroke="{TEXT}"/>',
    ]
    for tick in ticks(low, high):
        x = across(tick)
        marks.append(f'<text x="{x:.1f}" y="{bottom + 16}" fill="{TEXT}" text-anchor="middle">{tick:g}</text>')
    for number, row in enumerate(shown):
        marks += _marks(row, 40 + LINE * number, across, low)
    return svg(RIGHT + 40, bottom + 26, marks)


def _marks(row: Row, y: float, across: Callable[[float], float], low: float) -> list[str]:
    colour, gap = COLOURS[row.outcome], row.difference
    label = f'<text x="{LEFT - 8}" y="{y + 4}" fill="{TEXT}" text-anchor="end" font-size="12">{row.name}</text>'
    if not math.isfinite(gap.mean):
        return [label, f'<text x="{LEFT}" y="{y + 4}" fill="{ORANGE}" font-size="12">diverged</text>']
    if gap.mean < low:
        return [label, f'<text x="{LEFT}" y="{y + 4}" fill="{colour}" font-size="12">◂ {gap.mean:.1f}</text>']
    ends = f'x1="{across(gap.low):.1f}" x2="{across(gap.high):.1f}" y1="{y}" y2="{y}"'
    return [
        label,
        f'<line {ends} stroke="{colour}" stroke-width="2"/>',
        f'<circle cx="{across(gap.mean):.1f}" cy="{y}" r="4" fill="{colour}"/>',
    ]


def limits(rows: Sequence[Row]) -> tuple[float, float]:
    """Return the ends of the axis: all of the better side, and the worse side up to where four fifths of the dots are.

    A few methods far behind would otherwise press all others into one point.
    """
    means = sorted(row.difference.mean for row in rows if math.isfinite(row.difference.mean))
    fifth = means[len(means) // 5]
    kept = [row.difference for row in rows if row.difference.mean >= fifth]
    reach = max(max(abs(gap.low), abs(gap.high)) for gap in kept) or 1.0
    high = max(max(gap.high for gap in kept), 0.1 * reach)
    return min(1.5 * min(gap.low for gap in kept), -0.1 * reach), 1.1 * high


def ticks(low: float, high: float) -> list[float]:
    """Return four to ten round numbers from ``low`` to ``high``."""
    step = 10.0 ** math.floor(math.log10((high - low) / 3))
    step *= next(factor for factor in (1, 2, 5) if (high - low) / (step * factor) <= 10)
    return [round(step * k, 10) for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
