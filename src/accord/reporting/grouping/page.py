"""The page of a grouping: the answer, the groups, who helps whom, predicted and measured gain, how to do it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accord.reporting.comparison.read import LOOKS
from accord.reporting.cover import again, cover, footer, moment, notes
from accord.reporting.grouping.heat import affinity
from accord.reporting.grouping.read import Gap, gaps_of, groups_of
from accord.reporting.grouping.scatter import agreement
from accord.reporting.grouping.tables import contestants, groups
from accord.reporting.html import Markup, el
from accord.reporting.numbers import finite, plural
from accord.reporting.page import document
from accord.reporting.parts import Section
from accord.reporting.run import mapping, sequence
from accord.reporting.svg.interval import interval, interval_axis, interval_scale
from accord.reporting.verdict import MARKS
from accord.reporting.write import write_study


def write_grouping(directory: str | Path, path: str | Path | None = None) -> Path:
    """Write the page of the grouping in ``directory``, ``group.html`` there by default, and return its path.

    Raises:
        RunError: no grouping, a damaged file, or no room to write.
    """
    return write_study(directory, path, verb="group", what="finished grouping", page=page)


def page(name: str, found: Mapping[str, Any], spec_text: str) -> str:
    """Return the document."""
    made = [answer(found), groups(found), affinity(found), contestants(found), agreement(found)]
    sections = [section for section in (*made, again("group", spec_text)) if section]
    above = notes(found.get("warnings"), found.get("notes"))
    return document(f"{name}: Accord grouping", _header(name, found), sections, footer("Grouping", name), above=above)


def _header(name: str, found: Mapping[str, Any]) -> Markup:
    seeds = finite(mapping(found, "measured").get("seeds"))
    facts = [
        plural(len(sequence(found.get("tasks"))), "task"),
        f"{mapping(found, 'affinity').get('title')}, {str(found.get('partitioner')).replace('_', ' ')}",
        f"measured with {plural(int(seeds), 'seed')}" if seeds == seeds else "not measured",
        f"{finite(mapping(found, 'rows').get('train')):,.0f} training rows",
    ]
    return cover("grouping", name, moment(found.get("created")), facts)


def answer(found: Mapping[str, Any]) -> Section:
    """Return how far the proposed groups are ahead of each other way to train the tasks."""
    gaps = gaps_of(found)
    count = plural(len(groups_of(found)), "group")
    better = [gap.name for gap in gaps if gap.outcome == "better"]
    said = (
        f"{count} proposed; what they gain is not measured yet."
        if not gaps
        else f"{count}: better than {' and '.join(better)}."
        if better
        else f"{count}, not shown to be better than anything."
    )
    reach = max((abs(v) for gap in gaps for v in (gap.size.value, gap.size.low, gap.size.high)), default=1.0)
    scale = interval_scale(reach)
    axis = el(
        "div",
        el("div", interval_axis(scale, "points of delta-m", "groups"), class_="plot"),
        class_="verdict-row axis-row",
    )
    body = el(
        "div",
        el("p", said, class_="answer"),
        el("div", [_row(gap, scale) for gap in gaps], axis, class_="verdict-group") if gaps else None,
        el("div", el("p", str(found.get("paragraph") or ""), class_="honest"), class_="block"),
    )
    return Section("verdict", "Verdict", body)


def _row(gap: Gap, scale: Any) -> Markup:
    look = LOOKS.get(gap.outcome, "unclear")
    told = f"Proposed groups to {gap.name}: {gap.size.text('points of delta-m')}, {gap.outcome}"
    picture = interval(gap.size.value, gap.size.low, gap.size.high, scale, look=f"{look} accent", tip=told)
    chip = el("span", f"{MARKS[look]} {gap.outcome}", class_=f"chip {look}")  # type: ignore[index]
    who = el("div", el("span", f"than {gap.name}", class_="task"), chip, class_="who")
    sentence = el("p", f"{gap.size.text()} points of delta-m; p = {gap.p:.2g}", class_="sentence")
    return el("div", who, el("div", picture, class_="plot"), sentence, class_="verdict-row")
