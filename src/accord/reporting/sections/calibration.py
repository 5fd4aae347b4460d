"""Whether predicted probabilities can be taken at their word."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import NONE, finite, fixed, general
from accord.reporting.parts import Section, figure, table, task_name, tint
from accord.reporting.run import Run, TaskInfo, mapping, sequence
from accord.reporting.svg.reliability import reliability
from accord.reporting.svg.scale import DRAWABLE

PANELS = 6
Bin = tuple[float, float, float]


def calibration(run: Run) -> Section | None:
    """Return reliability diagrams of the classification tasks, or ``None`` when there are none."""
    found = [(task, _classes(run, task)) for task in run.tasks]
    binary = [_panel(task, classes[0], 0, alone=True) for task, classes in found if len(classes) == 1]
    blocks = [el("div", binary, class_="panels small block")] if binary else []
    blocks += [_block(task, classes) for task, classes in found if len(classes) > 1]
    if not blocks:
        return None
    lead = "Of the joint model on the test rows. ECE is the expected calibration error: the mean gap between predicted "
    lead += "probability and observed frequency, weighted by rows."
    return Section("calibration", "Calibration", el("div", blocks), lead)


def _classes(run: Run, task: TaskInfo) -> list[Mapping[str, Any]]:
    entries = sequence(run.part("calibration").get(task.name))
    return [entry for entry in map(mapping, entries) if _bins(entry)]


def _bins(entry: Mapping[str, Any]) -> list[Bin]:
    columns = [[finite(v) for v in sequence(entry.get(key))] for key in ("count", "confidence", "frequency")]
    # Bins without rows have no frequency; columns of a damaged entry may differ in length.
    return [b for b in zip(*columns, strict=False) if 0 < b[0] < DRAWABLE and all(map(math.isfinite, b))]


def _rows(entry: Mapping[str, Any]) -> float:
    return sum(count for count, _, _ in _bins(entry))


def _block(task: TaskInfo, classes: list[Mapping[str, Any]]) -> Markup:
    shown = sorted(classes, key=_weight, reverse=True)[:PANELS]
    panels = [_panel(task, entry, i) for i, entry in enumerate(shown)]
    hidden = len(classes) - len(shown)
    note = el("p", f"The {PANELS} most frequent of {len(classes)} classes.", class_="note") if hidden else None
    every = [[bdi(c.get("label", "")), fixed(finite(c.get("ece")), 4), f"{_rows(c):,.0f}"] for c in classes]
    more = el(
        "details", el("summary", "ECE of all classes"), table(f"ECE, {task.name}", ["Class", "ECE", "Rows"], every)
    )
    body = el("div", panels, class_="panels small")
    return el("div", el("h3", task_name(task)), body, note, more, class_="block")


def _panel(task: TaskInfo, entry: Mapping[str, Any], index: int, *, alone: bool = False) -> Markup:
    bins, ece = _bins(entry), finite(entry.get("ece"))
    label = str(entry.get("label") or "")
    said = fixed(ece, 3) if math.isfinite(ece) else NONE
    rows = [[fixed(c, 3), fixed(f, 3), f"{n:,.0f}"] for n, c, f in bins]
    data = table(f"Reliability, {task.name} {label}", ["Predicted", "Observed", "Rows"], rows)
    about = el("span", [bdi(label), ", "] if label and alone else None, f"ECE {said}", class_="quiet")
    caption = [task_name(task) if alone else bdi(label), " ", about]
    name = f"Reliability of {task.name} {label}: ECE {said} over {general(_rows(entry))} rows"
    return figure(
        f"calibration-{task.index}-{index}", caption, reliability(bins, look=tint(task.index), name=name), data
    )


def _weight(entry: Mapping[str, Any]) -> float:
    return sum(count * frequency for count, _, frequency in _bins(entry))
