"""The stored points as a table: the plot for those who do not see it, and for everyone who wants the digits."""

from __future__ import annotations

from accord.exploring.axes import Axis, Column
from accord.exploring.view import View
from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import finite, fixed, percent, plural
from accord.reporting.parts import details, table


def stored_points(view: View) -> Markup:
    """Return the section with the folded table, one row per stored point and baseline."""
    head = ["Preference", *(_head(axis, view) for axis in view.axes)]
    rows = [[_name(view, place), *_cells(view, column)] for place, column in enumerate(view.columns)]
    rows += [[bdi(one.name), *_cells(view, one.column)] for one in view.baselines]
    order = ", ".join(task.name for task in view.tasks)
    inner = table(f"Stored points and baselines; preferences are of {order}", head, rows, look="points")
    count = len(view.columns)
    sure = finite(view.record.get("confidence"))
    intervals = f" with {percent(sure)} intervals" if sure == sure else ""
    lead = f"The plot in figures{intervals}. A preference leads to its point."
    return el(
        "section",
        el("h2", "Stored points", id="points-title"),
        el("p", lead, class_="lead"),
        details(f"All {count} stored points and {plural(len(view.baselines), 'baseline')}", inner),
        id="points",
        aria_labelledby="points-title",
    )


def _head(axis: Axis, view: View) -> Markup:
    better = "higher is better" if axis.higher else "lower is better"
    arrow = el("span", " ", "↑" if axis.higher else "↓", el("span", f" {better}", class_="unseen"), title=better)
    return el("span", bdi(view.tasks[axis.task].name), el("br"), axis.label, arrow)


def _name(view: View, place: int) -> Markup:
    shares = " / ".join(f"{share * 100:.0f}" for share in view.preferences[place])
    remarks = ["knee"] if place == view.knee else []
    remarks += ["dominated"] if view.dominated[place] else []
    return el("span", f"{shares} %", el("small", f" {', '.join(remarks)}") if remarks else None, data_point=place)


def _cells(view: View, column: Column) -> list[Markup]:
    return [
        _cell(axis, *numbers) for axis, *numbers in zip(view.axes, column.value, column.low, column.high, strict=True)
    ]


def _cell(axis: Axis, value: float, low: float, high: float) -> Markup:
    known = low == low
    interval = f" [{fixed(low, axis.places)}, {fixed(high, axis.places)}]" if known else None
    return el("span", fixed(value, axis.places), el("span", interval, class_="half") if known else None)
