"""Pictures for docs/zoo.md: how good each method is, what negation takes away, and the front between three."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.zoo.fronts import points, worst
from benchmarks.zoo.lines import Line, judged
from benchmarks.zoo.page import ENDS, PAGE
from docs.pictures import BLUE, GREY, ORANGE, TEXT, svg

IMAGES = PAGE.parent / "images"
LEFT, RIGHT, LINE, HEIGHT = 190, 600, 18, 220


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
    """Return a row per method that all seeds have, best first: its mean over tasks in every seed, and their mean."""
    found: dict[str, list[float]] = {}
    for line in lines:
        if line["zoo"] == kind and "default" in line:
            found.setdefault(line["method"], []).append(statistics.fmean(judged(line).values()))
    found = {name: values for name, values in found.items() if len(values) == len(found["individual"])}
    low, high = min(map(min, found.values())), max(map(max, found.values()))

    def across(value: float) -> float:
        return LEFT + (RIGHT - LEFT) * (value - low) / ((high - low) or 1.0)

    marks, y = [_words(LEFT, 14, "right answers on test rows, mean over tasks, %", "start")], 36
    for name in sorted(found, key=lambda name: -statistics.fmean(found[name])):
        colour = GREY if name in ENDS else ORANGE if name in ("average", "task arithmetic") else BLUE
        marks.append(_words(LEFT - 12, y + 4, name, "end"))
        marks += [_dot(across(value), y, 2.5, colour, hollow=True) for value in found[name]]
        marks.append(_dot(across(statistics.fmean(found[name])), y, 4.5, colour))
        y += LINE
    marks += [_words(across(value), y + 6, f"{value:.0f}", "middle") for value in (low, high)]
    return svg(RIGHT + 30, y + 16, marks)


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


def _dot(x: float, y: float, radius: float, colour: str, *, hollow: bool = False) -> str:
    fill = f'fill="none" stroke="{colour}"' if hollow else f'fill="{colour}"'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" {fill}/>'
