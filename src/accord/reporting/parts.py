"""Pieces that sections share: sections themselves, figures with their table, tables, task names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from accord.reporting.html import Markup, bdi, el
from accord.reporting.run import TaskInfo

COLOURS = 8


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the page; ``title`` also stands in the table of contents."""

    key: str
    title: str
    body: Markup
    lead: object = None

    def render(self) -> Markup:
        """Return the section as a landmark named by its heading."""
        heading = el("h2", self.title, id=f"{self.key}-title")
        lead = el("p", self.lead, class_="lead") if self.lead else None
        return el("section", heading, lead, self.body, id=self.key, aria_labelledby=f"{self.key}-title")


def tint(index: int) -> str:
    """Return the CSS classes of a task's colour; beyond eight tasks colours repeat with another dash."""
    turn = index // COLOURS % 3
    return f"t{index % COLOURS}" + (f" turn{turn}" if turn else "")


def task_name(task: TaskInfo) -> Markup:
    """Return a task's name behind its colour."""
    return el(
        "span", el("span", class_="swatch", aria_hidden="true"), bdi(task.name), class_=f"task {tint(task.index)}"
    )


def table(caption: str, head: Sequence[object], rows: Sequence[Sequence[object]], *, look: str = "") -> Markup:
    """Return a table that scrolls inside its own box.

    The first cell of each row is its heading; where it is ``None``, the heading above spans this row too.
    """
    groups: list[list[Sequence[object]]] = []
    for row in rows:
        groups[-1].append(row) if row[0] is None and groups else groups.append([row])
    header = el("thead", el("tr", [el("th", cell, scope="col") for cell in head]))
    bodies = (
        [el("tbody", map(_group, groups))] if len(groups) == len(rows) else [el("tbody", _group(g)) for g in groups]
    )
    inner = el("table", el("caption", caption, class_="unseen"), header, bodies, class_=look or None)
    return el("div", inner, class_="scroll", role="region", aria_label=caption, tabindex=0)


def _group(rows: Sequence[Sequence[object]]) -> list[Markup]:
    several = len(rows) > 1
    heading = el("th", rows[0][0], scope="rowgroup" if several else "row", rowspan=len(rows) if several else None)
    return [el("tr", heading if i == 0 else None, [el("td", cell) for cell in row[1:]]) for i, row in enumerate(rows)]


def matrix(
    caption: str, label: str, heads: Sequence[Markup], rows: Sequence[tuple[Markup, Sequence[Markup]]]
) -> Markup:
    """Return a table of pairs that scrolls inside its own box.

    Args:
        caption: says what a cell is.
        label: names the box.
        heads: headings of the columns, ``<th>``.
        rows: heading and cells of each row, ``<th>`` and ``<td>``.
    """
    head = el("thead", el("tr", el("td"), heads))
    body = el("tbody", [el("tr", side, cells) for side, cells in rows])
    inner = el("table", el("caption", caption, class_="unseen"), head, body, class_="matrix")
    return el("div", inner, class_="scroll", role="region", aria_label=label, tabindex=0)


def figure(key: str, title: object, picture: object, data: Markup | None = None, *, note: object = None) -> Markup:
    """Return a picture with its caption and, folded, the same numbers as a table."""
    below = [el("p", note, class_="note") if note else None]
    below.append(el("details", el("summary", "Data table"), data, class_="numbers") if data else None)
    return el("figure", el("figcaption", title), picture, below, id=key)


def responsive(draw: Callable[[tuple[float, float]], Markup]) -> list[Markup]:
    """Return a picture drawn twice, for wide and narrow pages: text in a scaled picture would not stay readable."""
    return [el("div", draw((820, 300)), class_="wide"), el("div", draw((360, 252)), class_="narrow")]


def details(summary: object, body: object) -> Markup:
    """Return folded content."""
    return el("details", el("summary", summary), body)
