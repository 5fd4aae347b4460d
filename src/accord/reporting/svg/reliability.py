"""Reliability: how often it happened against how likely the model called it, with the number of rows below."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from accord.reporting.html import Markup, el
from accord.reporting.numbers import fixed
from accord.reporting.svg.scale import Scale

SIDE, LEFT, TOP, BARS = 216, 40, 24, 48
STRETCHES = 20
FLOOR = TOP + SIDE + 28 + BARS
SIZE = (LEFT + SIDE + 14, FLOOR + 40)
_MARKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def reliability(bins: Sequence[tuple[float, float, float]], *, look: str, name: str) -> Markup:
    """Return the diagram.

    Args:
        bins: ``(count, mean predicted probability, observed frequency)`` of each non-empty bin.
        look: CSS classes of the marks.
        name: accessible name.
    """
    x, y = Scale(0, 1, LEFT, LEFT + SIDE), Scale(0, 1, TOP + SIDE, TOP)
    return el(
        "svg",
        el("title", name),
        el("desc", "Dots on the diagonal are perfectly calibrated; below it the predicted probability is too high."),
        _frame(x, y),
        _dots(bins, x, y, look),
        _counts(bins, x, look),
        class_="chart square",
        viewBox=f"0 0 {SIZE[0]} {SIZE[1]}",
        role="img",
        aria_label=name,
        tabindex=0,
        data_cells=True,
    )


def _frame(x: Scale, y: Scale) -> list[Markup]:
    drawn = []
    for mark in _MARKS:
        text = f"{mark:g}"
        drawn += [
            el("line", class_="grid", x1=x.start, x2=x.end, y1=y.at(mark), y2=y.at(mark)),
            el("line", class_="grid", x1=x.at(mark), x2=x.at(mark), y1=y.start, y2=y.end),
            el("text", text, class_="tick", x=x.start - 8, y=y.at(mark) + 4, text_anchor="end"),
        ]
        if mark in (0.0, 0.5, 1.0):
            drawn.append(el("text", text, class_="tick", x=x.at(mark), y=FLOOR + 16, text_anchor="middle"))
    drawn.append(el("line", class_="diagonal", x1=x.start, x2=x.end, y1=y.start, y2=y.end))
    drawn.append(el("text", "predicted probability", class_="axis-name", x=x.end, y=FLOOR + 34, text_anchor="end"))
    drawn.append(el("text", "observed frequency", class_="axis-name", x=x.start, y=y.end - 10))
    return drawn


def _dots(bins: Sequence[tuple[float, float, float]], x: Scale, y: Scale, look: str) -> list[Markup]:
    drawn = []
    for count, confidence, frequency in bins:
        tip = f"predicted {fixed(confidence, 3)}\nobserved {fixed(frequency, 3)}\n{count:,.0f} rows"
        place = {"cx": x.at(confidence), "cy": y.at(frequency), "r": 4.5}
        drawn.append(el("circle", class_=f"dot {look}", **place, data_tip=tip))
    return drawn


def _counts(bins: Sequence[tuple[float, float, float]], x: Scale, look: str) -> list[Markup]:
    # Bins of equal size would all be equally tall and overlap, so rows are counted again over equal stretches.
    counts, edges = np.histogram([b[1] for b in bins], STRETCHES, (0, 1), weights=[b[0] for b in bins])
    largest = counts.max()
    drawn = [el("line", class_="axis", x1=x.start, x2=x.end, y1=FLOOR, y2=FLOOR)]
    for count, left in zip(counts[counts > 0], edges[:-1][counts > 0], strict=True):
        # Square root: a stretch with one row in ten thousand must still be seen to exist.
        tall = max(BARS * math.sqrt(count / largest), 0.5)
        place = {"x": x.at(left) + 0.5, "y": FLOOR - tall, "width": SIDE / STRETCHES - 1, "height": tall}
        drawn.append(el("rect", class_=f"bar {look}", **place))
    said = f"rows (square root), most {largest:,.0f}"
    return [*drawn, el("text", said, class_="axis-name", x=x.end, y=TOP + SIDE + 24, text_anchor="end")]
