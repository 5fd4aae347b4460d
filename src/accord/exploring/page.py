"""The document: everything that can be read without a script, and places for what the script draws."""

from __future__ import annotations

from accord import __version__
from accord.exploring import bundle
from accord.exploring.conflict import conflict
from accord.exploring.data import embedded, page_data
from accord.exploring.header import header, notes, verdict
from accord.exploring.table import stored_points
from accord.exploring.view import View
from accord.reporting import page as shared
from accord.reporting.html import Markup, bdi, el, join

STYLES = ("frame.css", "plot.css", "controls.css", "rows.css", "paper.css")


def front_page(view: View, *, live: bool) -> str:
    """Return the page of a front.

    Args:
        view: what it shows.
        live: whether a server stands behind it, which gives figures for any preference and writes exports.
    """
    main = el("main", _sections(view, live=live), id="main")
    body = el(
        "body",
        el("a", "Skip to the preference", href="#preference", class_="skip"),
        el("div", header(view, live=live), main, _footer(view), class_="explore"),
        el("div", id="tip", hidden=True),
        el("p", id="said", class_="unseen", role="status", aria_live="polite"),
        el("script", embedded(page_data(view, live=live)), type="application/json", id="front-data"),
        el("script", Markup(bundle.script()), type="module"),
    )
    head = shared.head(f"{view.name}: explore the front", _style(), policy(live=live))
    return f"<!doctype html>\n{el('html', head, body, lang='en')}\n"


def policy(*, live: bool) -> str:
    """Return the page's content security policy; a live page may talk to its own server and nobody else."""
    return shared.policy(_style(), bundle.script(), *(["connect-src 'self'"] if live else []))


def _style() -> Markup:
    return Markup(shared.styles() + "".join(map(bundle.asset, STYLES)))


def _sections(view: View, *, live: bool) -> Markup:
    bench = el("div", _steer(), _front(), _chosen(live), class_="bench")
    return join([notes(view), _no_script(), bench, verdict(view), stored_points(view), conflict(view)])


def _no_script() -> Markup:
    text = "The controls need JavaScript. Without it, the stored points are in the table below."
    return el("noscript", el("p", text, class_="honest"))


def _steer() -> Markup:
    jumps = el("div", id="jumps", role="group", aria_label="Go to")
    return el(
        "section",
        el("h2", "Preference", id="steer-title"),
        el("div", el("div", id="preference", tabindex=-1), jumps, class_="live"),
        id="steer",
        aria_labelledby="steer-title",
    )


def _front() -> Markup:
    choices = [
        el("label", name, el("select", id=key), for_=key, class_="axis-choice")
        for key, name in (("axis-x", "Across"), ("axis-y", "Up"))
    ]
    sets = [
        el("button", name, type="button", id=key, class_="quiet-button", aria_pressed="false")
        for key, name in (("show-metrics", "Metrics"), ("show-losses", "Losses"))
    ]
    tools = el(
        "div",
        el("div", sets, class_="pair-buttons", role="group", aria_label="What is plotted"),
        choices,
        class_="tools",
    )
    return el(
        "section",
        el("h2", "The front", id="front-title"),
        el("div", tools, el("div", id="plot"), el("ul", id="legend", aria_label="Marks in the plot"), class_="live"),
        id="front",
        aria_labelledby="front-title",
    )


def _chosen(live: bool) -> Markup:
    return el(
        "section",
        el("h2", "This compromise", id="chosen-title"),
        el(
            "div",
            el("p", id="source", class_="note"),
            el("div", id="rows"),
            el("div", id="limits"),
            el("div", id="export", data_live=live),
            class_="live",
        ),
        id="chosen",
        aria_labelledby="chosen-title",
    )


def _footer(view: View) -> Markup:
    return el(
        "footer", el("p", f"Accord {__version__}. Nothing is fetched from a network. Front ", bdi(view.name), ".")
    )
