"""Everything that decided the result, and the commands that give it again."""

from __future__ import annotations

import shlex

from accord import __version__
from accord.reporting.html import Markup, el
from accord.reporting.parts import Section
from accord.reporting.run import Run
from accord.reporting.tinted import tinted_yaml


def specification(run: Run) -> Section | None:
    """Return the resolved specification with the commands, or ``None`` when it was not kept."""
    if not run.spec_text:
        return None
    spec = _code(tinted_yaml(run.spec_text), "spec", "specification")
    lead = "Complete, defaults included: saved as spec.yaml, it runs this again."
    body = el("div", el("h3", "How to reproduce it"), _how(run), el("h3", "spec.yaml"), spec)
    return Section("specification", "Specification", body, lead)


def _how(run: Run) -> Markup:
    version = str(run.metrics.get("accord") or __version__)
    lines = [f"pip install {shlex.quote(f'accord[tables]=={version}')}", "accord fit spec.yaml"]
    source = run.option("data", "source")
    note = None
    if isinstance(source, str) and source.startswith("<"):
        note = "The table was passed from memory: save it to a file first and name that file as data.source."
    said = el("p", note, class_="note") if note else None
    return el("div", _code("\n".join(lines), "reproduce", "commands"), said)


def _code(content: object, key: str, what: str) -> Markup:
    # The button is shown by the script, without which it could not copy.
    button = el("button", "Copy", type="button", class_="copy", data_copy=key, aria_label=f"Copy {what}", hidden=True)
    block = el("pre", el("code", content, id=key), tabindex=0, aria_label=what, role="region")
    return el("div", button, block, class_="code")
