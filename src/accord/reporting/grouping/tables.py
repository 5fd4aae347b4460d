"""The tables of a grouping: groups, contestants, specification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accord.reporting.comparison.read import estimate
from accord.reporting.grouping.read import groups_of
from accord.reporting.html import Markup, bdi, el, join
from accord.reporting.numbers import duration, finite, general
from accord.reporting.parts import Section, table, tint
from accord.reporting.run import mapping, sequence


def groups(found: Mapping[str, Any]) -> Section:
    """Return who is in which group, at which cost, and how to train it."""
    budget = mapping(found, "budget")
    rows = [
        [
            el(
                "span",
                el("span", class_="swatch", aria_hidden="true"),
                str(one.number),
                class_=f"task {tint(one.number - 1)}",
            ),
            _names(one.tasks, one.serves),
            general(one.predicted),
            f"{one.cost:.3g}",
            el("code", f"accord fit {one.spec}"),
        ]
        for one in groups_of(found)
    ]
    head = ["Group", "Tasks", "Predicted gain", "Cost", "To train it"]
    predicted = mapping(found, "predicted")
    mean = {key: general(finite(predicted.get(key))) for key in ("groups", "together", "random")}
    spent, limit = (f"{finite(budget.get(key)):.3g}" for key in ("spent", "limit"))
    lead = (
        f"Cost in {budget.get('unit')}, {spent} of {limit} spent. Mean predicted gain of a task over training alone, "
        f"in the unit of the affinity: {mean['groups']} in these groups, {mean['together']} all together, "
        f"{mean['random']} in random groups of the same sizes."
    )
    return Section("groups", "Groups", table("Groups", head, rows, look="wordy"), lead)


def _names(tasks: list[str] | Any, serves: list[str] | Any) -> Markup:
    shown = [bdi(name) if name in serves else el("em", bdi(name), " (to help)") for name in tasks]
    return join(shown, ", ")


def contestants(found: Mapping[str, Any]) -> Section | None:
    """Return delta-m and cost of every way to train the tasks; ``None`` where nothing was measured."""
    measured = mapping(found, "measured")
    if not measured:
        return None
    rows = []
    for one in map(mapping, sequence(measured.get("contestants"))):
        size = estimate(one.get("delta_m"))
        seconds = finite(one.get("seconds"))
        rows.append(
            [
                str(one.get("name")),
                size.text() if size else "0",
                f"{finite(one.get('models')):.0f}",
                f"{finite(one.get('cost')):.3g}",
                duration(seconds),
            ]
        )
    head = ["Trained", "Delta-m, %", "Models", "Cost", "Training time of a seed"]
    lead = "Delta-m: mean relative gain over a model for each task, on the test rows, over seeds."
    return Section("ways", "All ways", table("Ways to train the tasks", head, rows), lead)
