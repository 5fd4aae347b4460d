"""What front this is, when it was made, and what to be wary of."""

from __future__ import annotations

from accord.exploring.view import View
from accord.reporting.cover import cover, moment
from accord.reporting.html import Markup, el
from accord.reporting.numbers import finite, plural
from accord.reporting.parts import details
from accord.reporting.run import mapping, sequence

KINDS = {True: "one steerable model", False: "a set of models"}


def header(view: View, *, live: bool) -> Markup:
    """Return the title block."""
    more = None if live else " · saved page"
    return cover("front", view.name, moment(view.record.get("created")), _facts(view), more)


def notes(view: View) -> Markup | None:
    """Return the warnings of the run, before anything else but folded: they are long, and the controls come first."""
    found = [str(text) for text in sequence(view.record.get("warnings"))]
    if view.record.get("interrupted"):
        found.insert(0, "This front was interrupted: what is shown is as far as it came.")
    if not found:
        return None
    items = el("ul", [el("li", text) for text in found])
    return el("section", details(plural(len(found), "warning"), items), class_="warnings", aria_label="Warnings")


def _facts(view: View) -> list[object]:
    rows = mapping(view.record, "rows")
    live = finite(rows.get("live") or rows.get("validation"))
    method = view.record.get("method")
    facts: list[object] = [plural(len(view.tasks), "task"), KINDS[view.steerable]]
    facts += [el("code", method)] if isinstance(method, str) else []
    facts += [plural(len(view.columns), "stored point")]
    facts += [f"figures of {live:,.0f} validation rows"] if live > 0 else []
    return facts


def verdict(view: View) -> Markup | None:
    """Return what the run found out about its front, in its own words, or ``None`` where it says nothing."""
    text = view.record.get("paragraph")
    remarks = [str(note) for note in sequence(view.record.get("notes"))]
    if not text and not remarks:
        return None
    return el(
        "section",
        el("h2", "What the run says", id="verdict-title"),
        el("div", el("p", text, class_="honest") if text else None, [el("p", note, class_="note") for note in remarks]),
        id="verdict",
        aria_labelledby="verdict-title",
    )
