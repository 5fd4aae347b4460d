"""What all pages begin and end with: the title block, notes, the specification, the footer."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from accord import __version__
from accord.reporting.html import Markup, bdi, el, join
from accord.reporting.numbers import plural
from accord.reporting.parts import Section, details
from accord.reporting.run import sequence
from accord.reporting.tinted import tinted_yaml


def cover(kind: str, name: str, beside: object, facts: Sequence[object], *more: object) -> Markup:
    """Return the title block.

    Args:
        kind: of page, e.g. ``"comparison"``.
        name: of what it is about.
        beside: stands beside the kind where there is any, as :func:`moment`.
        facts: a line of them.
        more: what else stands beside the kind.
    """
    return el(
        "header",
        el("p", f"Accord {kind}", [" · ", beside] if beside else None, more, class_="kicker"),
        el("h1", bdi(name)),
        el("p", join(facts, " · "), class_="facts"),
        class_="headline",
    )


def moment(created: object) -> Markup | None:
    """Return when something was made, or ``None`` where ``created`` is no moment in ISO format."""
    try:
        when = datetime.fromisoformat(str(created))
    except ValueError:
        return None
    return el("time", f"{when.day} {when:%B %Y, %H:%M}", datetime=when.isoformat())


def notes(*found: object) -> Markup | None:
    """Return what to be wary of, before any result; ``None`` where the lists of texts are empty."""
    texts = [str(text) for list_ in found for text in sequence(list_)]
    if not texts:
        return None
    title = el("h2", plural(len(texts), "note"), id="warnings-title")
    items = el("ul", [el("li", text) for text in texts])
    return el("section", title, items, id="warnings", class_="warnings", aria_labelledby="warnings-title")


def again(verb: str, text: str) -> Section | None:
    """Return the whole specification ``text`` and how ``accord VERB`` runs it again; ``None`` where it is empty."""
    if not text:
        return None
    file = f"{verb}.yaml"
    how = el("p", "To do it again: ", el("code", f"accord {verb} {file} --out DIRECTORY"), class_="note")
    body = el("div", details(file, el("pre", tinted_yaml(text))), how)
    return Section("specification", "Specification", body)


def footer(kind: str, name: str, more: str = "") -> Markup:
    """Return who made the page, and of what."""
    return el("footer", el("p", f"Accord {__version__}.{more} One file, nothing fetched. {kind} ", bdi(name), "."))
