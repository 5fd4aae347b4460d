"""The page of a comparison: the answer, all metrics, ranks, costs, the search, and how to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accord.reporting.comparison.ranks import ranks
from accord.reporting.comparison.read import LOOKS, PLAIN_NAME, Contender, contenders, tasks_of
from accord.reporting.comparison.tables import costs, metrics, search
from accord.reporting.cover import again, cover, footer, moment, notes
from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import finite, percent, plural
from accord.reporting.page import document
from accord.reporting.parts import Section, table
from accord.reporting.run import mapping, sequence
from accord.reporting.svg.interval import interval, interval_axis, interval_scale
from accord.reporting.verdict import MARKS
from accord.reporting.write import write_study


def write_comparison(directory: str | Path, path: str | Path | None = None) -> Path:
    """Write the page of the comparison in ``directory``, ``compare.html`` there by default, and return its path.

    Raises:
        RunError: no comparison, a damaged file, or no room to write.
    """
    return write_study(directory, path, verb="compare", what="finished comparison", page=page)


def page(name: str, found: Mapping[str, Any], spec_text: str) -> str:
    """Return the document."""
    shown = contenders(found)
    names = {str(one.facts.get("key")): one.name for one in shown}
    tasks = tasks_of(found)
    made = [answer(found, shown), metrics(found, shown, tasks), ranks(found, names), costs(shown), search(found, tasks)]
    sections = [section for section in (*made, again("compare", spec_text)) if section]
    above = notes(found.get("warnings"), found.get("notes"))
    return document(
        f"{name}: Accord comparison", _header(name, found), sections, footer("Comparison", name), above=above
    )


def _header(name: str, found: Mapping[str, Any]) -> Markup:
    compare = mapping(found, "compare")
    trials, seeds = int(finite(compare.get("trials"))), int(finite(compare.get("seeds")))
    facts = [
        plural(len(sequence(found.get("tasks"))), "task"),
        f"{plural(trials, 'tuning run')} and {plural(seeds, 'fresh seed')} each",
        f"{finite(mapping(found, 'rows').get('test')):,.0f} test rows",
    ]
    return cover("comparison", name, moment(found.get("created")), facts)


def answer(found: Mapping[str, Any], shown: list[Contender]) -> Section:
    """Return who is better than tuned plain weights, with intervals and probabilities."""
    judged = [one for one in shown if one.gap]
    better = [one.name for one in judged if one.outcome == "better"]
    said = (
        f"{len(better)} of {plural(len(judged), 'method')} better than {PLAIN_NAME}."
        if better
        else f"No method is better than {PLAIN_NAME}."
        if judged
        else "There is no verdict."
    )
    reach = max((abs(v) for one in judged if one.gap for v in (one.gap.value, one.gap.low, one.gap.high)), default=1.0)
    scale = interval_scale(reach)
    axis = el(
        "div",
        el("div", interval_axis(scale, "points of delta-m", "method"), class_="plot"),
        class_="verdict-row axis-row",
    )
    rope = finite(mapping(found, "compare").get("rope"))
    body = el(
        "div",
        el("p", said, class_="answer"),
        el("div", [_row(one, scale) for one in judged], axis, class_="verdict-group") if judged else None,
        el("div", el("p", str(found.get("paragraph") or ""), class_="honest"), class_="block"),
        _probabilities(judged, rope) if judged else None,
    )
    return Section("verdict", "Verdict", body)


def _row(one: Contender, scale: Any) -> Markup:
    look = LOOKS.get(one.outcome, "unclear")
    gap = one.gap
    assert gap is not None
    told = f"{one.name}: {gap.text('points of delta-m')} against {PLAIN_NAME}, {one.outcome}"
    picture = interval(gap.value, gap.low, gap.high, scale, look=f"{look} accent", tip=told)
    chip = el("span", f"{MARKS[look]} {one.outcome}", class_=f"chip {look}")  # type: ignore[index]
    p = finite(mapping(one.facts, "against_plain").get("p_holm"))
    who = el("div", el("span", bdi(one.name), class_="task"), chip, class_="who")
    sentence = el("p", f"{gap.text()} points of delta-m; p = {p:.2g}", class_="sentence")
    return el("div", who, el("div", picture, class_="plot"), sentence, class_="verdict-row")


def _probabilities(judged: list[Contender], rope: float) -> Markup:
    rows = [[bdi(one.name), *(percent(p) for p in one.probabilities())] for one in judged]
    lead = (
        f"How probable it is that a method is worse, practically equal (within {rope:g} % of plain weights' metric) or "
        "better, by the Bayesian signed-rank test over all tasks and seeds:"
    )
    shown = table("Probabilities", ["Method", "Worse", "Practically equal", "Better"], rows)
    return el("div", el("p", lead, class_="lead"), shown, class_="block")
