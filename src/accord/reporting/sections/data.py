"""What went in: how rows were divided, how columns were read, and which were left out and why."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import NONE, finite, percent, plural
from accord.reporting.parts import Section, table
from accord.reporting.run import Run, mapping, sequence

PARTS = ("train", "validation", "test")
SHOWN = 400  # columns in the table; more than this is a data dictionary, not a report


def data(run: Run) -> Section | None:
    """Return splits and schema, or ``None`` when neither was kept."""
    parts = [_splits(run), _columns(run), _dropped(run)]
    if not any(parts):
        return None
    source = run.option("data", "source")
    lead = ["Read from ", el("code", source), "."] if isinstance(source, str) else None
    return Section("data", "Data", el("div", parts), lead)


def _splits(run: Run) -> Markup | None:
    rows = {part: finite(run.part("rows").get(part)) for part in PARTS}
    known = {part: n for part, n in rows.items() if n > 0}
    total = sum(known.values())
    if not total:
        return None
    how = run.option("data", "split", "method")
    cells = [_split(part, n, total) for part, n in known.items()]
    title = el("h3", "Splits", el("small", f" {how}") if isinstance(how, str) else None)
    return el("div", title, el("dl", cells, class_="splits"), class_="block")


def _split(part: str, rows: float, total: float) -> Markup:
    track = el("rect", class_="track", width="100%", height="100%", rx=2)
    bar = el("rect", class_="split-bar", width=f"{100 * (rows / total):.2f}%", height="100%", rx=2)
    picture = el("svg", track, bar, width="100%", height=10, aria_hidden="true")
    return el("div", el("dt", part), el("dd", picture, el("span", f"{rows:,.0f} rows ({percent(rows / total)})")))


def _schema(run: Run) -> list[Mapping[str, Any]]:
    return [mapping(column) for column in sequence(mapping(run.features, "schema").get("columns"))]


def _columns(run: Run) -> Markup | None:
    columns = [column for column in _schema(run) if column.get("role") != "dropped"]
    if not columns:
        return None
    kinds = Counter(str(column.get("kind") or "unknown") for column in columns)
    said = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common())
    rows = [[bdi(c.get("name", "")), *_facts(c), bdi(c.get("reason") or "")] for c in columns[:SHOWN]]
    listed = table(
        "Columns as they were read", ["Column", "Role", "Read as", "Missing", "Distinct", "Why"], rows, look="words"
    )
    more = f"{len(columns) - SHOWN:,} more are in features.json."
    beyond = el("p", more, class_="note") if len(columns) > SHOWN else None
    summary = el("summary", f"{plural(len(columns), 'column')}: {said}")
    return el("div", el("h3", "Columns"), el("details", summary, listed, beyond), class_="block")


def _facts(column: Mapping[str, Any]) -> list[object]:
    missing, distinct = finite(column.get("missing")), finite(column.get("distinct"))
    share = (
        NONE if math.isnan(missing) else "none" if missing == 0 else "< 0.1 %" if missing < 0.001 else f"{missing:.1%}"
    )
    return [
        column.get("role") or "",
        column.get("kind") or "",
        share,
        NONE if math.isnan(distinct) else f"{distinct:,.0f}",
    ]


def _dropped(run: Run) -> Markup | None:
    columns = [column for column in _schema(run) if column.get("role") == "dropped"]
    if not columns:
        return None
    rows = [[bdi(c.get("name", "")), c.get("kind") or "", bdi(c.get("reason") or "")] for c in columns[:SHOWN]]
    listed = table("Columns left out", ["Column", "Read as", "Why"], rows, look="words")
    return el("div", el("h3", "Left out", el("small", f" {plural(len(columns), 'column')}")), listed, class_="block")
