"""The page of a front: what it amounts to, the front itself, how far it steers, all points, conflict, costs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from accord import __version__
from accord.errors import RunError
from accord.reporting.front.planes import planes
from accord.reporting.front.read import FrontShown, read_front, value_of, value_text
from accord.reporting.front.steer import points, steer
from accord.reporting.html import Markup, bdi, el, join
from accord.reporting.numbers import duration, finite, plural, short
from accord.reporting.page import document
from accord.reporting.parts import Section, details, table
from accord.reporting.run import mapping, read_json_object, sequence
from accord.reporting.svg.heat import cell_text, level
from accord.reporting.tinted import tinted_yaml
from accord.reporting.write import write_page


def write_front(directory: str | Path, path: str | Path | None = None) -> Path:
    """Write the page of the front in ``directory``, ``front.html`` there by default, and return its path.

    Raises:
        RunError: no front, a damaged file, or no room to write.
    """
    directory = Path(directory)
    found = read_json_object(directory / "front.json")
    if not found:
        raise RunError(f"{directory} holds no front: there is no front.json")
    spec = directory / "front.yaml"
    text = spec.read_text(encoding="utf-8") if spec.is_file() else ""
    return write_page(
        directory / "front.html" if path is None else Path(path), page(directory.resolve().name, found, text)
    )


def page(name: str, found: Mapping[str, Any], spec_text: str) -> str:
    """Return the document."""
    front = read_front(found)
    made = [_answer(front), planes(front), steer(front), points(front), _conflict(front), _costs(front)]
    sections = [section for section in (*made, _specification(spec_text)) if section]
    footer = el("footer", el("p", f"Accord {__version__}. One file, nothing fetched. Front ", bdi(name), "."))
    return document(f"{name}: Accord front", _header(name, front), sections, footer, above=_warnings(found))


def _header(name: str, front: FrontShown) -> Markup:
    found = front.facts
    test = finite(mapping(found, "rows").get("test"))
    facts = [
        str(found.get("method")),
        plural(len(front.tasks), "task"),
        plural(len(front.points), "point"),
        plural(len(sequence(found.get("seeds"))) or 1, "seed"),
        f"{test:,.0f} test rows" if test == test else "",
    ]
    moment = datetime.fromisoformat(str(found.get("created")))
    when = el("time", f"{moment.day} {moment:%B %Y, %H:%M}", datetime=moment.isoformat())
    kicker = el("p", "Accord front · ", when, class_="kicker")
    shown = join([fact for fact in facts if fact], " · ")
    return el("header", kicker, el("h1", bdi(name)), el("p", shown, class_="facts"), class_="headline")


def _warnings(found: Mapping[str, Any]) -> Markup | None:
    notes = [str(text) for text in (*sequence(found.get("warnings")), *sequence(found.get("notes")))]
    if not notes:
        return None
    title = el("h2", plural(len(notes), "note"), id="warnings-title")
    return el(
        "section", title, el("ul", [el("li", text) for text in notes]),
        id="warnings", class_="warnings", aria_labelledby="warnings-title",
    )  # fmt: skip


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
    shown = table("Hypervolumes", ["Hypervolume on test rows", "Value [interval]"], rows)
    note = "How much of what lies between no loss and predicting the training average is dominated; more is better."
    return Section(
        "verdict", "Verdict", el("div", el("p", said, class_="answer"), honest, shown, el("p", note, class_="note"))
    )


def _conflict(front: FrontShown) -> Section | None:
    matrix = np.array(sequence(mapping(front.facts, "cosines").get("matrix")), dtype=np.float64)
    count = len(front.tasks)
    if matrix.shape != (count, count):
        return None
    head = el("tr", el("td"), [el("th", bdi(task.name), scope="col") for task in front.tasks])
    rows = [
        el("tr", el("th", bdi(a.name), scope="row"), [_cell(matrix[a.index, b.index], a is b) for b in front.tasks])
        for a in front.tasks
    ]
    caption = el("caption", "Mean cosine between the gradients of each pair of tasks", class_="unseen")
    inner = el("table", caption, el("thead", head), el("tbody", rows), class_="matrix")
    box = el("div", inner, class_="scroll", role="region", aria_label="Gradient cosine of each pair", tabindex=0)
    lead = (
        "Mean cosine between the gradients of two tasks in the last shared layer of the balanced model. Below zero, "
        "what helps one hurts the other, and there is something to steer."
    )
    return Section("conflict", "Conflict", box, lead)


def _cell(value: float, same: bool) -> Markup:
    if same:
        return el("td", el("span", "same task", class_="unseen"), class_="self")
    return el("td", cell_text(value), class_=level(value))


def _costs(front: FrontShown) -> Section:
    cost = mapping(front.facts, "cost")
    names = {"front": "The front", "baselines": "Balanced and single-task models together"}
    rows = [
        [names[key], duration(finite(part.get("seconds"))), short(finite(part.get("parameters")))]
        for key in names
        if (part := mapping(cost, key))
    ]
    shown = table("Costs", ["", "Training time per seed", "Parameters"], rows)
    return Section("costs", "Costs", shown)


def _specification(text: str) -> Section | None:
    if not text:
        return None
    how = el("p", "To do it again: ", el("code", "accord front front.yaml --out DIRECTORY"), class_="note")
    body = el("div", details("front.yaml", el("pre", tinted_yaml(text))), how)
    return Section("specification", "Specification", body)
