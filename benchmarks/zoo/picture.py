"""Pictures for docs/zoo.md: how good each method is, what negation takes away, and the front between three."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.zoo.fronts import points, worst
from benchmarks.zoo.lines import Line, judged
from benchmarks.zoo.methods import REFERENCE
from benchmarks.zoo.page import PAGE
from benchmarks.zoo.paired import ENDS, by_method
from docs.pictures import BLUE, GREY, ORANGE, TEXT, svg

IMAGES = PAGE.parent / "images"
LEFT, RIGHT, TOP, LINE, HEIGHT = 226, 636, 26, 18, 220


def draw(lines: Sequence[Line], kind: str, folder: Path = IMAGES) -> None:
    """Write the pictures of what a zoo's lines hold."""
    made = {"": methods(lines, kind)}
    if any(line["zoo"] == kind and "curve" in line for line in lines):
        made["-negation"] = negation(lines, kind)
    if points(lines, kind, 3):
        made["-front"] = front(lines, kind)
    for what, text in made.items():
        (folder / f"zoo-{kind}{what}.svg").write_text(text, "utf-8")


def methods(lines: Sequence[Line], kind: str) -> str:
    """Return a row per method that all seeds have, best first: its mean over tasks in every seed, and their mean.

    A line goes down from what tuned task arithmetic reaches.
    """
    found = {
        name: [statistics.fmean(judged(line).values()) for line in runs.values()]
        for name, runs in by_method(lines, kind).items()
    }
    found = {name: values for name, values in found.items() if len(values) == len(found["individual"])}
    ticks = _ticks(min(map(min, found.values())), max(map(max, found.values())))
    bottom = TOP + LINE * len(found)

    def across(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - ticks[0]) / (ticks[-1] - ticks[0])

    marks = [_words(LEFT, 14, "right answers on test rows, mean over tasks, %", "start")]
    marks += [_down(across(value), bottom, f'stroke-opacity="0.25" stroke="{GREY}"') for value in ticks]
    if REFERENCE in found:
        marks.append(_down(across(statistics.fmean(found[REFERENCE])), bottom, f'stroke="{ORANGE}"'))
    for place, name in enumerate(sorted(found, key=lambda name: -statistics.fmean(found[name]))):
        y = TOP + LINE * (place + 0.5)
        colour = GREY if name in ENDS else ORANGE if name in ("average", REFERENCE) else BLUE
        marks.append(_words(LEFT - 12, y + 4, name, "end"))
        marks += [_dot(across(value), y, 2.5, colour, hollow=True) for value in found[name]]
        marks.append(_dot(across(statistics.fmean(found[name])), y, 4.5, colour))
    marks += [_words(across(value), bottom + 16, f"{value}", "middle") for value in ticks]
    return svg(RIGHT + 30, bottom + 26, marks)


def _ticks(low: float, high: float) -> list[int]:
    """Return round numbers from below to above, four to nine of them for what per cents span."""
    step = next(step for step in (1, 2, 5, 10, 20) if high - low < 6 * step or step == 20)
    return list(range(int(low // step) * step, -int(-high // step) * step + step, step))


def negation(lines: Sequence[Line], kind: str) -> str:
    """Return two curves over the scale: the negated task, and the others."""
    curves = [line["curve"] for line in lines if line["zoo"] == kind and "curve" in line]
    last = curves[0][-1]["scale"]
    marks = [_words(60, 14, "right answers on test rows, %", "start")]
    for key, colour, name in (("others", BLUE, "the other tasks"), ("own", ORANGE, "the task subtracted")):
        places = [
            (60 + 400 * points[0]["scale"] / last, 30 + HEIGHT * (1 - statistics.fmean(p[key] for p in points) / 100))
            for points in zip(*curves, strict=True)
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"/>')
        marks += [_dot(x, y, 3, colour) for x, y in places]
        marks.append(_words(places[-1][0] + 10, places[-1][1] + 4, name, "start"))
    marks += [_words(50, 34 + HEIGHT * (1 - value / 100), str(value), "end") for value in (0, 50, 100)]
    marks += [_words(60 + 400 * value / last, 50 + HEIGHT, f"{value:g}", "middle") for value in (0, last / 2, last)]
    marks.append(_words(260, 68 + HEIGHT, "how much of the task vector is subtracted", "middle"))
    return svg(620, 76 + HEIGHT, marks)


def front(lines: Sequence[Line], kind: str) -> str:
    """Return the triangle of preferences between three fine-tunings, each with the worst task's accuracy there."""
    found = points(lines, kind, 3)
    values = [statistics.fmean(worst(point)) for point in found]
    left, top, side = 150, 40, 330

    def place(shares: Sequence[float]) -> tuple[float, float]:
        return left + side * (shares[1] + shares[2] / 2), top + side * 0.866 * (1 - shares[2])

    corners = [place([float(task == other) for other in range(3)]) for task in range(3)]
    outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    marks = [f'<polygon points="{outline}" fill="none" stroke="{GREY}"/>']
    for point, value in zip(found, values, strict=True):
        x, y = place(point[0]["preference"])
        marks.append(_dot(x, y, 3 + 10 * value / 100, BLUE if value == max(values) else GREY))
        marks.append(_words(x, y + 28, f"{value:.0f}", "middle"))
    for (x, y), task, anchor in zip(corners, found[0][0]["test"], ("end", "start", "start"), strict=True):
        marks.append(_words(x + (-16 if anchor == "end" else 16), y + 4, task, anchor))
    return svg(630, round(top + side * 0.866 + 44), marks)


def _words(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{TEXT}" text-anchor="{anchor}">{text}</text>'


def _down(x: float, bottom: float, stroke: str) -> str:
    return f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" {stroke}/>'


def _dot(x: float, y: float, radius: float, colour: str, *, hollow: bool = False) -> str:
    fill = f'fill="none" stroke="{colour}"' if hollow else f'fill="{colour}"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" {fill}/>'
