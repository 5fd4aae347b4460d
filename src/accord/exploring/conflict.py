"""Where the tasks' gradients pull against each other, as a heat map that carries its numbers."""

from __future__ import annotations

from collections.abc import Sequence

from accord.exploring.view import View
from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import finite
from accord.reporting.run import mapping, sequence
from accord.reporting.svg.heat import cell_text, level
from accord.reporting.svg.text import shorten

LEAD = (
    "Mean cosine between the tasks' gradients on the shared weights while training. Below zero they pull against each "
    "other: there a front is wide, and a preference matters."
)


def conflict(view: View) -> Markup | None:
    """Return the section, or ``None`` where no cosines were recorded."""
    found = mapping(view.record, "cosines")
    names, matrix = [str(name) for name in sequence(found.get("tasks"))], sequence(found.get("matrix"))
    if len(names) < 2 or len(matrix) != len(names):
        return None
    head = el("tr", el("td"), [_heading(name, "col") for name in names])
    rows = [
        el("tr", _heading(name, "row"), [_cell(a, b, sequence(line)) for b in range(len(names))])
        for a, (name, line) in enumerate(zip(names, matrix, strict=True))
    ]
    caption = el("caption", "Mean cosine between the gradients of each pair of tasks", class_="unseen")
    table = el("table", caption, el("thead", head), el("tbody", rows), class_="matrix")
    return el(
        "section",
        el("h2", "Conflict", id="conflict-title"),
        el("p", LEAD, class_="lead"),
        el(
            "div",
            _legend(),
            el("div", table, class_="scroll", role="region", aria_label="Gradient cosine of each pair", tabindex=0),
        ),
        id="conflict",
        aria_labelledby="conflict-title",
    )


def _heading(name: str, scope: str) -> Markup:
    return el("th", bdi(shorten(name, 150)), scope=scope, title=name)


def _cell(a: int, b: int, line: Sequence[object]) -> Markup:
    if a == b:
        return el("td", el("span", "same task", class_="unseen"), class_="self")
    value = finite(line[b]) if b < len(line) else float("nan")
    return el("td", cell_text(value), class_=level(value))


def _legend() -> Markup:
    keys = [el("span", class_=f"key {level(v / 10)}") for v in range(-10, 11, 2)]
    return el(
        "p", "conflict −1 ", el("span", keys, class_="keys", aria_hidden="true"), " +1 agreement", class_="legend"
    )
