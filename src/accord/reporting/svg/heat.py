"""Cosines between gradients as colour: orange for conflict, blue for agreement, always with the number at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

from accord.reporting.html import Markup, el
from accord.reporting.numbers import fixed

LEVELS = 10


def level(value: float) -> str:
    """Return the CSS class of a cosine in [-1, 1]: ``q-10`` to ``q10``; ``q-none`` when it is unknown."""
    if not math.isfinite(value):
        return "q-none"
    return f"q{round(max(-1.0, min(1.0, value)) * LEVELS):d}"


def strip(values: Sequence[float], tips: Sequence[str], *, height: float, name: str) -> Markup:
    """Return one row of cells over time, fluid in width; only the row takes the keyboard focus, cells answer arrows."""
    share = 100 / max(len(values), 1)
    cells = [
        el(
            "rect",
            class_=level(v),
            x=f"{i * share:.3f}%",
            y="0",
            width=f"{share + 0.05:.3f}%",
            height="100%",
            data_tip=t,
        )
        for i, (v, t) in enumerate(zip(values, tips, strict=True))
    ]
    return el(
        "svg", el("title", name), cells, class_="strip", width="100%", height=height, role="img", tabindex=0,
        aria_label=name, data_cells=True,
    )  # fmt: skip


def cell_text(value: float) -> str:
    """Return a cosine with two decimals."""
    return fixed(value, 2)
