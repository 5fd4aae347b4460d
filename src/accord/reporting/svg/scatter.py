"""Points in a plane, with intervals, a line through some of them, and values that belong to one axis alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from accord.reporting.html import Markup, el
from accord.reporting.svg.frame import Frame
from accord.reporting.svg.path import path
from accord.reporting.svg.scale import domain, drawable
from accord.reporting.svg.text import shorten, spread, width

LABEL_ROOM = 120


@dataclass(frozen=True)
class Mark:
    """One point: where it is, how far it may be off, its CSS classes, what it says when it is pointed at."""

    x: float
    y: float
    look: str
    tip: str
    shape: str = "dot"  # or "diamond"
    label: str = ""
    x_bounds: tuple[float, float] | None = None
    y_bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Rule:
    """A value of one axis (``"x"`` or ``"y"``), drawn across the picture; ``side`` is where a level one is labelled."""

    axis: str
    value: float
    look: str
    label: str
    side: str = "end"


@dataclass(frozen=True)
class Scatter:
    """What to draw; ``name`` is the accessible name and ``about`` its longer description.

    Attributes:
        line: positions in ``marks`` that a line goes through, in order.
    """

    name: str
    about: str
    x_name: str
    marks: Sequence[Mark]
    rules: Sequence[Rule] = ()
    line: Sequence[int] = field(default_factory=tuple)


def scatter(chart: Scatter, size: tuple[float, float]) -> Markup:
    """Return the picture, ``size`` in CSS pixels at its natural scale; marks answer the arrow keys."""
    marks = [m for m in chart.marks if bool(drawable(np.array([m.x, m.y])).all())]
    rules = [rule for rule in chart.rules if bool(drawable(np.array([rule.value])).all())]
    frame = _frame(marks, rules, size)
    through = [chart.marks[place] for place in chart.line if chart.marks[place] in marks]
    missing = len(chart.marks) - len(marks)
    about = f"{chart.about} {missing} not finite." if missing else chart.about
    return el(
        "svg",
        el("title", chart.name),
        el("desc", about),
        frame.draw(chart.x_name, whole=False),
        _rules(rules, frame),
        _line(through, frame),
        [_whiskers(mark, frame) for mark in marks],
        [_mark(mark, frame) for mark in marks],
        [_label(mark, frame) for mark in marks if mark.label],
        class_="chart scatter",
        viewBox=f"0 0 {size[0]:g} {size[1]:g}",
        role="img",
        aria_label=f"{chart.name}. {about}",
        tabindex=0,
        data_cells=True,
    )


def _frame(marks: Sequence[Mark], rules: Sequence[Rule], size: tuple[float, float]) -> Frame:
    xs = _reach([(m.x, m.x_bounds) for m in marks], [r.value for r in rules if r.axis == "x"])
    ys = _reach([(m.y, m.y_bounds) for m in marks], [r.value for r in rules if r.axis == "y"])
    return Frame.around(xs, ys, size, 16)


def _reach(marks: Sequence[tuple[float, tuple[float, float] | None]], rules: Sequence[float]) -> tuple[float, float]:
    values = np.array([*(v for value, bounds in marks for v in (value, *(bounds or ()))), *rules], dtype=np.float64)
    low, high, _ = domain(values[drawable(values)], margin=0.1)
    return low, high


def _rules(rules: Sequence[Rule], frame: Frame) -> list[Markup]:
    lines = [el("line", class_=f"rule-line {rule.look}", **_ends(rule, frame)) for rule in rules]
    across = [rule for rule in rules if rule.axis == "y"]
    wanted = [frame.y.at(rule.value) - 4 for rule in across]
    places = spread(wanted, 14, frame.y.end + 10, frame.y.start - 4)
    texts = [
        _text(rule, frame.x.end - 2 if rule.side == "end" else frame.x.start + 2, y, rule.side)
        for rule, y in zip(across, places, strict=True)
    ]
    # Labels of upright rules stand above the picture, where no point is.
    for rule in rules:
        if rule.axis == "x":
            at = frame.x.at(rule.value)
            late = at > (frame.x.start + frame.x.end) / 2
            texts.append(_text(rule, at + 4 if late else at - 4, frame.y.end - 2, "end" if late else "start"))
    return [*lines, *texts]


def _ends(rule: Rule, frame: Frame) -> dict[str, float]:
    x, y = frame.x, frame.y
    if rule.axis == "x":
        at = x.at(rule.value)
        return {"x1": at, "x2": at, "y1": y.start, "y2": y.end}
    at = y.at(rule.value)
    return {"x1": x.start, "x2": x.end, "y1": at, "y2": at}


def _text(rule: Rule, x: float, y: float, anchor: str) -> Markup:
    return el("text", shorten(rule.label, 170), class_=f"label {rule.look}", x=x, y=y, text_anchor=anchor)


def _line(marks: Sequence[Mark], frame: Frame) -> Markup | None:
    if len(marks) < 2:
        return None
    xs, ys = np.array([mark.x for mark in marks]), np.array([mark.y for mark in marks])
    return el("path", class_="line thin base", d=path(frame.x(xs), frame.y(ys)))


def _whiskers(mark: Mark, frame: Frame) -> list[Markup]:
    x, y = frame.x.at(mark.x), frame.y.at(mark.y)
    drawn = []
    if mark.x_bounds:
        low, high = (frame.x.at(value) for value in mark.x_bounds)
        drawn.append(el("line", class_=f"spread {mark.look}", x1=low, x2=high, y1=y, y2=y))
    if mark.y_bounds:
        low, high = (frame.y.at(value) for value in mark.y_bounds)
        drawn.append(el("line", class_=f"spread {mark.look}", x1=x, x2=x, y1=low, y2=high))
    return drawn


def _mark(mark: Mark, frame: Frame) -> Markup:
    x, y = frame.x.at(mark.x), frame.y.at(mark.y)
    if mark.shape == "diamond":
        side = 9.0
        return el(
            "rect", class_=f"dot diamond {mark.look}", x=x - side / 2, y=y - side / 2, width=side, height=side,
            transform=f"rotate(45 {x:.1f} {y:.1f})", data_tip=mark.tip,
        )  # fmt: skip
    return el("circle", class_=f"dot {mark.look}", cx=x, cy=y, r=5, data_tip=mark.tip)


def _label(mark: Mark, frame: Frame) -> Markup:
    x, y, text = frame.x.at(mark.x), frame.y.at(mark.y), shorten(mark.label, LABEL_ROOM)
    before = x + 9 + width(text) > frame.x.end
    place = {"x": x - 9, "text_anchor": "end"} if before else {"x": x + 9}
    return el("text", text, class_=f"label {mark.look}", y=max(y - 7, frame.y.end + 8), **place)
