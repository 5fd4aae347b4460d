"""What the joint model cost against all single-task models together."""

from __future__ import annotations

import math

from accord.reporting.html import Markup, el
from accord.reporting.numbers import duration, finite, general, percent, short
from accord.reporting.parts import Section
from accord.reporting.run import Run

_ROWS = (
    ("seconds", "Training time", "less", "more"),
    ("rows_per_second", "Throughput", "lower", "higher"),
    ("parameters", "Parameters", "fewer", "more"),
    ("peak_memory_mb", "Peak memory", "less", "more"),
)


def costs(run: Run) -> Section | None:
    """Return the comparison of costs, or ``None`` when none was recorded."""
    joint, single = run.part("cost", "joint"), run.part("cost", "single")
    rows = [_row(*row, finite(joint.get(row[0])), finite(single.get(row[0]))) for row in _ROWS]
    if not any(rows):
        return None
    lead = "One joint model against all single-task models together." if single else "Of the joint model."
    return Section("costs", "Costs", el("dl", rows, class_="costs"), lead)


def _row(key: str, name: str, below: str, above: str, joint: float, single: float) -> Markup | None:
    if not math.isfinite(joint):
        return None
    if not math.isfinite(single):
        return el("div", el("dt", name), el("dd", _text(key, joint)), class_="cost")
    bars = [_bar(who, key, value, max(joint, single)) for who, value in (("joint", joint), ("single", single))]
    said = el("small", f" {_change(joint / single, below, above)}") if single > 0 else None
    return el("div", el("dt", name, said), el("dd", bars), class_="cost")


def _change(ratio: float, below: str, above: str) -> str:
    if round(ratio, 2) == 1:
        return "the same"
    if ratio >= 2:
        return f"{general(ratio, 2)} times as {'many' if above == 'more' and below == 'fewer' else 'much'}"
    return f"{percent(abs(1 - ratio))} {above if ratio > 1 else below}"


def _bar(who: str, key: str, value: float, largest: float) -> Markup:
    share = 100 * (value / largest) if largest > 0 else 0.0
    picture = el(
        "svg", el("rect", class_=f"cost-bar {who}", width=f"{max(share, 0.5):.1f}%", height="100%", rx=2), width="100%",
        height=10, aria_hidden="true",
    )  # fmt: skip
    return el(
        "div", el("span", who, class_="who"), picture, el("span", _text(key, value), class_="amount"), class_="pair"
    )


def _text(key: str, value: float) -> str:
    if key == "seconds":
        return duration(value)
    if key == "rows_per_second":
        return f"{short(value)} rows/s"
    if key == "peak_memory_mb":
        return f"{value / 1000:.2f} GB" if value >= 1000 else f"{general(value)} MB"
    return short(value)
