"""Predicted against measured gain, one dot per task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from accord.reporting.grouping.read import groups_of
from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import finite, fixed, general
from accord.reporting.parts import Section, figure, responsive, table, tint
from accord.reporting.run import mapping, sequence
from accord.reporting.svg.scale import Scale, domain, labels, ticks

LEFT, BOTTOM, TOP, RIGHT = 56.0, 48.0, 28.0, 12.0


@dataclass(frozen=True, eq=False)
class Dot:
    """One task: what it was predicted to gain over one model of all tasks, and what it did, in per cent."""

    task: str
    group: int
    predicted: float
    measured: float
    low: float
    high: float

    @property
    def tip(self) -> str:
        """What is said of it."""
        bounds = f"[{general(self.low)}, {general(self.high)}]"
        return f"{self.task}\npredicted {general(self.predicted)}\nmeasured {general(self.measured)} % {bounds}"


def agreement(found: Mapping[str, Any]) -> Section | None:
    """Return the section; ``None`` where nothing was measured."""
    dots = _dots(found)
    if not dots:
        return None
    facts = mapping(found, "measured", "agreement")
    rho = finite(facts.get("spearman"))
    lead = (
        "Gain over one model of all tasks: to the right what the affinity predicts, in its own unit, upwards what the "
        "test rows say, in per cent of the metric."
    )
    said = (
        f" Spearman's correlation {fixed(rho, 2, sign=True)}, p = {finite(facts.get('p')):.2g}." if rho == rho else ""
    )
    rows = [[bdi(d.task), d.group, general(d.predicted), f"{general(d.measured)} %"] for d in dots]
    data = table("Gains by task", ["Task", "Group", "Predicted", "Measured"], rows)
    picture = responsive(lambda size: scatter(dots, size))
    note = f"A colour for each group; a dot up and to the right was right to be moved.{said}"
    return Section(
        "gains", "Predicted and measured", figure("gains-figure", "Gain by task", picture, data, note=note), lead
    )


def _dots(found: Mapping[str, Any]) -> list[Dot]:
    server = {name: group.number for group in groups_of(found) for name in group.serves}
    made = []
    for facts in map(mapping, sequence(mapping(found, "measured").get("tasks"))):
        over = mapping(facts, "over_together")
        values = [finite(v) for v in (facts.get("predicted"), over.get("value"), over.get("low"), over.get("high"))]
        name = str(facts.get("task"))
        if all(np.isfinite(values[:2])) and name in server:
            made.append(Dot(name, server[name], *values))
    return made


def scatter(dots: Sequence[Dot], size: tuple[float, float]) -> Markup:
    """Return the picture."""
    width, height = size
    xs, ys = (np.array([0.0, *(getattr(d, side) for d in dots)]) for side in ("predicted", "measured"))
    ys = np.concatenate([ys, [v for d in dots for v in (d.low, d.high) if np.isfinite(v)]])
    x = Scale(*domain(xs)[:2], LEFT, width - RIGHT)
    y = Scale(*domain(ys)[:2], height - BOTTOM, TOP)
    marks = [
        el(
            "circle",
            class_=f"dot {tint(d.group - 1)}",
            cx=x.at(d.predicted),
            cy=y.at(d.measured),
            r=5,
            data_tip=d.tip,
        )
        for d in dots
    ]
    spans = [
        el("line", class_=f"span {tint(d.group - 1)}", x1=at, x2=at, y1=y.at(d.low), y2=y.at(d.high))
        for d in dots
        if np.isfinite([d.low, d.high]).all() and (at := x.at(d.predicted))
    ]
    name = f"Predicted and measured gain of {len(dots)} tasks"
    return el(
        "svg",
        el("title", name),
        _axes(x, y, width, height),
        spans,
        marks,
        class_="chart",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_label=name,
        tabindex=0,
        data_cells=True,
    )


def _axes(x: Scale, y: Scale, width: float, height: float) -> list[Markup]:
    across, up = ticks(x.low, x.high, max(2, int(width / 160))), ticks(y.low, y.high)
    drawn = []
    for value, text in zip(up, labels(up), strict=True):
        drawn.append(el("line", class_="grid", x1=x.start, x2=x.end, y1=y.at(value), y2=y.at(value)))
        drawn.append(el("text", text, class_="tick", x=x.start - 8, y=y.at(value) + 4, text_anchor="end"))
    for value, text in zip(across, labels(across), strict=True):
        drawn.append(el("line", class_="grid", x1=x.at(value), x2=x.at(value), y1=y.start, y2=y.end))
        drawn.append(el("text", text, class_="tick", x=x.at(value), y=y.start + 18, text_anchor="middle"))
    drawn += [
        el("line", class_="reference", x1=x.start, x2=x.end, y1=y.at(0), y2=y.at(0)),
        el("line", class_="reference", x1=x.at(0), x2=x.at(0), y1=y.start, y2=y.end),
        el("text", "measured gain, %", class_="axis-name", x=4, y=14),
        el("text", "predicted gain", class_="axis-name", x=x.end, y=height - 6, text_anchor="end"),
    ]
    return drawn
