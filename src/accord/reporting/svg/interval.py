"""A difference with its interval, around a zero line that every row shares. Fluid: all places are percentages."""

from __future__ import annotations

import math

from accord.reporting.html import Markup, el
from accord.reporting.svg.scale import Scale, labels, ticks

EDGE = 4.0  # per cent left free at both ends, so that dots and labels at the ends are whole


def interval_scale(reach: float) -> Scale:
    """Return a scale symmetric around zero, so that zero stands at the same place whatever the unit."""
    reach = reach if math.isfinite(reach) and reach > 0 else 1.0
    return Scale(-reach, reach, EDGE, 100 - EDGE)


def interval(value: float, low: float, high: float, scale: Scale, *, look: str, tip: str) -> Markup:
    """Return a row: zero line, gridlines, whisker and dot; the dot is hollow when ``look`` says ``unclear``."""
    return el(
        "svg",
        el("title", tip),
        [el("line", class_="grid", x1=_at(x, scale), x2=_at(x, scale), y1="0", y2="100%") for x in _grid(scale)],
        el("line", class_="zero", x1="50%", x2="50%", y1="0", y2="100%"),
        _whisker(low, high, scale, look),
        el("circle", class_=f"dot {look}", cx=_at(value, scale), cy="50%", r=7) if math.isfinite(value) else None,
        class_="interval",
        width="100%",
        height=40,
        role="img",
        tabindex=0,
        aria_label=tip,
        data_tip=tip,
    )


def interval_axis(scale: Scale, unit: str, who: str = "joint") -> Markup:
    """Return the axis below the rows of one unit; ``who`` is better to its right."""
    values = ticks(scale.low, scale.high, 4)
    texts = [f"+{t}" if v > 0 else t for v, t in zip(values, labels(values), strict=True)]
    return el(
        "svg",
        [
            el("text", text, class_="tick", x=_at(value, scale), y=14, text_anchor="middle")
            for value, text in zip(values, texts, strict=True)
        ],
        el("text", f"← {who} worse ({unit})" if unit else f"← {who} worse", class_="axis-name", x=f"{EDGE:g}%", y=36),
        el("text", f"{who} better →", class_="axis-name", x=f"{100 - EDGE:g}%", y=36, text_anchor="end"),
        class_="interval-axis",
        width="100%",
        height=44,
        aria_hidden="true",
    )


def _whisker(low: float, high: float, scale: Scale, look: str) -> Markup | None:
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return el("line", class_=f"whisker {look}", x1=_at(low, scale), x2=_at(high, scale), y1="50%", y2="50%")


def _grid(scale: Scale) -> list[float]:
    return [v for v in ticks(scale.low, scale.high, 4) if abs(v) > 1e-12]


def _at(value: float, scale: Scale) -> str:
    return f"{scale.at(value):.2f}%"
