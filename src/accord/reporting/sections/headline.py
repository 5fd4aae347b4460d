"""What was run, when, and what to be wary of."""

from __future__ import annotations

from datetime import datetime

from accord.reporting.html import Markup, bdi, el, join
from accord.reporting.numbers import finite, plural
from accord.reporting.run import Run, sequence

SHOWN = 4


def headline(run: Run) -> Markup:
    """Return the title block."""
    return el(
        "header",
        el("p", "Accord report", [" · ", _when(run)] if _when(run) else None, class_="kicker"),
        el("h1", bdi(run.name)),
        el("p", join(_facts(run), " · "), class_="facts"),
        class_="headline",
    )


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


def _when(run: Run) -> Markup | None:
    try:
        moment = datetime.fromisoformat(str(run.metrics.get("created")))
    except ValueError:
        return None
    return el("time", f"{moment.day} {moment:%B %Y, %H:%M}", datetime=moment.isoformat())


def _facts(run: Run) -> list[object]:
    seeds = sequence(run.metrics.get("seeds"))
    rows = finite(run.part("rows").get("train"))
    methods = [run.option("model", "sharing"), run.option("balancing", "method")]
    facts: list[object] = [plural(len(run.tasks), "task")]
    facts += [plural(len(seeds), "seed")] if seeds else []
    facts += [f"{rows:,.0f} training rows"] if rows == rows else []
    facts += [el("code", name) for name in methods if isinstance(name, str)]
    return facts
