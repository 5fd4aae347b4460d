"""What was run, when, and what to be wary of."""

from __future__ import annotations

from accord.reporting.cover import cover, moment
from accord.reporting.html import Markup, el
from accord.reporting.numbers import finite, plural
from accord.reporting.run import Run, sequence

SHOWN = 4


def headline(run: Run) -> Markup:
    """Return the title block."""
    return cover("report", run.name, moment(run.metrics.get("created")), _facts(run))


def warnings(run: Run) -> Markup | None:
    """Return what could make the results worthless, before any result."""
    found = [str(w) for w in sequence(run.metrics.get("warnings"))]
    if not run.metrics:
        found.insert(0, "This run is not finished: it has no metrics yet. Below is what was recorded so far.")
    if not found:
        return None
    title = el("h2", plural(len(found), "warning"), id="warnings-title")
    first = el("ul", [el("li", text) for text in found[:SHOWN]])
    rest = found[SHOWN:]
    more = el("ul", [el("li", text) for text in rest])
    folded = el("details", el("summary", f"{len(rest)} more"), more) if rest else None
    return el("section", title, first, folded, id="warnings", class_="warnings", aria_labelledby="warnings-title")


def _facts(run: Run) -> list[object]:
    seeds = sequence(run.metrics.get("seeds"))
    rows = finite(run.part("rows").get("train"))
    methods = [run.option("model", "sharing"), run.option("balancing", "method")]
    facts: list[object] = [plural(len(run.tasks), "task")]
    facts += [plural(len(seeds), "seed")] if seeds else []
    facts += [f"{rows:,.0f} training rows"] if rows == rows else []
    facts += [el("code", name) for name in methods if isinstance(name, str)]
    return facts
