"""Lines over training, labelled where they end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from accord.reporting.html import Markup, el
from accord.reporting.numbers import general
from accord.reporting.svg.downsample import envelope
from accord.reporting.svg.frame import Frame
from accord.reporting.svg.path import path
from accord.reporting.svg.scale import domain
from accord.reporting.svg.text import shorten, spread, width

LABEL_ROOM = 96
MARKED = 24  # up to this many points, each is marked: they are evaluations, not a stream


@dataclass(frozen=True)
class Line:
    """One line: ``xs``, ``ys`` ``[N]``, CSS classes for its look, and a label when it is one of the main ones."""

    xs: np.ndarray
    ys: np.ndarray
    look: str
    label: str = ""

    def clean(self) -> Line:
        """Return the line without the points that cannot be drawn."""
        keep = np.isfinite(self.ys)
        return Line(self.xs[keep].astype(np.float64), self.ys[keep], self.look, self.label)


@dataclass(frozen=True)
class LineChart:
    """What to draw; ``name`` is the accessible name and ``about`` its longer description."""

    name: str
    about: str
    lines: Sequence[Line]
    x_name: str = "step"
    limits: tuple[float, float] | None = None
    emphasise: float | None = None
    buckets: int = 100
    readouts: int = 60
    shade_below: float | None = None


def line_chart(chart: LineChart, size: tuple[float, float] = (360, 232)) -> Markup:
    """Return the picture, ``size`` in CSS pixels at its natural scale."""
    lines = [line for line in (raw.clean() for raw in chart.lines) if line.xs.size]
    frame, beyond = _frame(chart, lines, size)
    lost = sum(raw.ys.size for raw in chart.lines) - sum(line.ys.size for line in lines)
    missing = "; ".join([f"{beyond:,} beyond the axis"] * bool(beyond) + [f"{lost:,} not finite"] * bool(lost))
    about = f"{chart.about} Values: {missing}." if missing else chart.about
    return el(
        "svg",
        el("title", chart.name),
        el("desc", about),
        _shade(chart.shade_below, frame),
        frame.draw(chart.x_name, emphasise=chart.emphasise),
        [_draw(line, frame, chart.buckets) for line in lines],
        _labels([line for line in lines if line.label], frame),
        el("text", missing, class_="axis-name", x=frame.x.start, y=size[1] - 6) if missing else None,
        el("g", class_="crosshair"),
        class_="chart",
        viewBox=f"0 0 {size[0]:g} {size[1]:g}",
        role="img",
        aria_label=f"{chart.name}. {about}",
        tabindex=0,
        data_points=_readouts(chart, lines, frame),
        data_top=frame.y.end,
        data_bottom=frame.y.start,
    )


def _frame(chart: LineChart, lines: Sequence[Line], size: tuple[float, float]) -> tuple[Frame, int]:
    xs = np.concatenate([line.xs for line in lines]) if lines else np.array([0.0, 1.0])
    ys = np.concatenate([line.ys for line in lines]) if lines else np.array([0.0, 1.0])
    low, high = float(xs.min()), float(xs.max())
    span = (low, high) if high > low else (low - 0.5, high + 0.5)
    room = max((width(line.label) for line in lines), default=0)
    low, high, beyond = (*chart.limits, 0) if chart.limits else domain(ys)
    return Frame.around(span, (low, high), size, min(room, LABEL_ROOM) + 14), beyond


def _shade(edge: float | None, frame: Frame) -> Markup | None:
    if edge is None or edge <= frame.y.low:
        return None
    top = frame.y.at(edge)
    wide = frame.x.end - frame.x.start
    return el("rect", class_="shade", x=frame.x.start, y=top, width=wide, height=frame.y.start - top)


def _draw(line: Line, frame: Frame, buckets: int) -> list[Markup]:
    xs, ys = envelope(line.xs, line.ys, buckets)
    px, py = frame.x(xs), frame.y(ys)
    drawn = [el("path", class_=f"line {line.look}", d=path(px, py))] if len(xs) > 1 else []
    marked = line.label and len(line.xs) <= MARKED
    if marked or len(xs) == 1:
        drawn += [el("circle", class_=f"dot {line.look}", cx=x, cy=y, r=3) for x, y in zip(px, py, strict=True)]
    return drawn


def _end(line: Line, frame: Frame) -> float:
    return frame.x.at(float(line.xs[-1]))


def _labels(lines: Sequence[Line], frame: Frame) -> list[Markup]:
    wanted = [frame.y.at(float(line.ys[-1])) for line in lines]
    places = spread(wanted, 15, frame.y.end + 4, frame.y.start - 2)
    return [
        el("text", shorten(line.label, LABEL_ROOM), class_=f"label {line.look}", x=_end(line, frame) + 8, y=y + 4)
        for line, y in zip(lines, places, strict=True)
    ]


def _readouts(chart: LineChart, lines: Sequence[Line], frame: Frame) -> str | None:
    """Return JSON ``[[x, text, [y, ...]], ...]``: what the cross-hair says at up to ``readouts`` places."""
    main = [line for line in lines if line.label]
    if not main:
        return None
    steps = np.unique(np.concatenate([line.xs for line in main]))
    chosen = steps[np.unique(np.linspace(0, len(steps) - 1, chart.readouts).round().astype(int))]
    return json.dumps([_readout(x, main, frame, chart.x_name) for x in chosen], separators=(",", ":"))


def _readout(x: float, lines: Sequence[Line], frame: Frame, x_name: str) -> list[object]:
    texts, places = [f"{x_name} {x:,.0f}"], []
    for line in lines:
        index = int(np.searchsorted(line.xs, x))
        if index < len(line.xs) and line.xs[index] == x:
            texts.append(f"{shorten(line.label, 200)}  {general(float(line.ys[index]), 4)}")
            places.append(round(frame.y.at(float(line.ys[index])), 1))
    return [round(frame.x.at(x), 1), "\n".join(texts), places]
