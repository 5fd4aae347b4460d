"""The page of a front: what it amounts to, the front itself, how far it steers, all points, conflict, costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from accord.reporting.cover import again, cover, footer, moment, notes
from accord.reporting.front.planes import planes
from accord.reporting.front.read import FrontShown, read_front, value_of, value_text
from accord.reporting.front.steer import points, steer
from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import duration, finite, plural, short
from accord.reporting.page import document
from accord.reporting.parts import Section, matrix, table
from accord.reporting.run import mapping, sequence
from accord.reporting.svg.heat import cell_text, level
from accord.reporting.write import write_study


def write_front(directory: str | Path, path: str | Path | None = None) -> Path:
    """Write the page of the front in ``directory``, ``front.html`` there by default, and return its path.

    Raises:
        RunError: no front, a damaged file, or no room to write.
    """
    return write_study(directory, path, verb="front", what="front", page=page)


def page(name: str, found: Mapping[str, Any], spec_text: str) -> str:
    """Return the document."""
    front = read_front(found)
    made = [_answer(front), planes(front), steer(front), points(front), _conflict(front), _costs(front)]
    sections = [section for section in (*made, again("front", spec_text)) if section]
    above = notes(found.get("warnings"), found.get("notes"))
    return document(f"{name}: Accord front", _header(name, front), sections, footer("Front", name), above=above)


def _header(name: str, front: FrontShown) -> Markup:
    found = front.facts
    test, seeds = finite(mapping(found, "rows").get("test")), sequence(found.get("seeds"))
    facts = [
        str(found.get("method")),
        plural(len(front.tasks), "task"),
        plural(len(front.points), "point"),
        plural(len(seeds), "seed") if seeds else "",
        f"{test:,.0f} test rows" if test == test else "",
    ]
    return cover("front", name, moment(found.get("created")), [fact for fact in facts if fact])


def _answer(front: FrontShown) -> Section:
    volumes = mapping(front.facts, "hypervolume")
    gain = value_of(mapping(volumes, "gain"))
    said = (
        "The front covers more of the trade-off than one balanced model."
        if gain.low > 0
        else "The front covers less of the trade-off than one balanced model."
        if gain.high < 0
        else "The front is not clearly better than one balanced model."
        if gain.value == gain.value
        else "A front without baselines."
    )
    names = {
        "front": "The front",
        "balanced": "The balanced model alone",
        "singles": "Single-task models, each for its own task",
        "gain": "The front's gain over the balanced model",
    }
    rows = [[names[key], value_text(value_of(mapping(volumes, key)))] for key in names if mapping(volumes, key)]
    honest = el("p", str(front.facts.get("paragraph") or ""), class_="honest")
    told: list[Markup] = [el("p", said, class_="answer"), honest]
    if rows:
        note = "How much of what lies between no loss and predicting the training average is dominated; more is better."
        told.append(table("Hypervolumes", ["Hypervolume on test rows", "Value [interval]"], rows))
        told.append(el("p", note, class_="note"))
    return Section("verdict", "Verdict", el("div", told))


def _conflict(front: FrontShown) -> Section | None:
    cosines = np.array(sequence(mapping(front.facts, "cosines").get("matrix")), dtype=np.float64)
    count = len(front.tasks)
    if cosines.shape != (count, count):
        return None
    heads = [el("th", bdi(task.name), scope="col") for task in front.tasks]
    rows = [
        (el("th", bdi(a.name), scope="row"), [_cell(cosines[a.index, b.index], a is b) for b in front.tasks])
        for a in front.tasks
    ]
    caption = "Mean cosine between the gradients of each pair of tasks"
    box = matrix(caption, "Gradient cosine of each pair", heads, rows)
    lead = (
        "Mean cosine between the gradients of two tasks in the last shared layer of the balanced model. Below zero, "
        "what helps one hurts the other, and there is something to steer."
    )
    return Section("conflict", "Conflict", box, lead)


def _cell(value: float, same: bool) -> Markup:
    if same:
        return el("td", el("span", "same task", class_="unseen"), class_="self")
    return el("td", cell_text(value), class_=level(value))


def _costs(front: FrontShown) -> Section | None:
    cost = mapping(front.facts, "cost")
    names = {"front": "The front", "baselines": "Balanced and single-task models together"}
    rows = [
        [names[key], duration(finite(part.get("seconds"))), short(finite(part.get("parameters")))]
        for key in names
        if (part := mapping(cost, key))
    ]
    if not rows:
        return None
    return Section("costs", "Costs", table("Costs", ["", "Training time per seed", "Parameters"], rows))
