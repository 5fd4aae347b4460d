"""The page: sections in order, one style sheet, one small script, and a policy that forbids everything else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from importlib import resources

from accord import __version__
from accord.reporting.cover import footer
from accord.reporting.html import Markup, el
from accord.reporting.parts import Section
from accord.reporting.run import Run
from accord.reporting.sections.calibration import calibration
from accord.reporting.sections.conflict import conflict
from accord.reporting.sections.costs import costs
from accord.reporting.sections.curves import curves
from accord.reporting.sections.data import data
from accord.reporting.sections.environment import environment
from accord.reporting.sections.headline import headline, warnings
from accord.reporting.sections.metrics import metrics
from accord.reporting.sections.specification import specification
from accord.reporting.sections.verdict import verdict
from accord.reporting.sections.weights import weights

SECTIONS: tuple[Callable[[Run], Section | None], ...] = (
    verdict,
    metrics,
    costs,
    curves,
    weights,
    conflict,
    calibration,
    data,
    specification,
    environment,
)
STYLES = ("colours.css", "layout.css", "figures.css", "print.css")


def page(run: Run) -> str:
    """Return the report of a run."""
    shown = [section for make in SECTIONS if (section := make(run))]
    return document(f"{run.name}: Accord report", headline(run), shown, _footer(run), above=warnings(run))


def document(
    title: str, header: Markup, sections: Sequence[Section], footer: Markup, *, above: Markup | None = None
) -> str:
    """Return a whole document: header, contents, what stands ``above`` all sections, sections, footer."""
    main = el("main", above, [section.render() for section in sections], id="main")
    body = el(
        "body",
        el("a", "Skip to the verdict", href="#main", class_="skip"),
        el("div", header, _contents(sections), main, footer, class_="page"),
        el("div", id="tip", role="status", hidden=True),
        el("script", Markup(_asset("report.js"))),
    )
    style, script = styles(), _asset("report.js")
    return f"<!doctype html>\n{el('html', head(title, style, policy(style, script)), body, lang='en')}\n"


def styles() -> Markup:
    """Return the style sheet that all pages share."""
    return Markup("".join(_asset(name) for name in STYLES))


def head(title: str, style: Markup, policy: str) -> Markup:
    """Return the head of a document that fetches nothing."""
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        el("link", rel="icon", href="data:,"),
        el("style", style),
    )


def policy(style: str, script: str, *more: str) -> str:
    """Return a content security policy: this very style sheet and script may act, and ``more`` rules hold.

    Nothing may be fetched, framed, posted or rebased.
    """
    rules = ("default-src 'none'", f"style-src {_digest(style)}", f"script-src {_digest(script)}", "img-src data:")
    return "; ".join((*rules, "base-uri 'none'", "form-action 'none'", *more))


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return resources.files("accord.reporting").joinpath("assets", name).read_text(encoding="utf-8")


def _contents(shown: Sequence[Section]) -> Markup:
    links = [el("li", el("a", section.title, href=f"#{section.key}")) for section in shown]
    return el("nav", el("ol", links), aria_label="Contents", class_="contents")


def _footer(run: Run) -> Markup:
    version = str(run.metrics.get("accord") or "")
    trained = f" The run was made with {version}." if version and version != __version__ else ""
    return footer("Run", run.name, trained)
