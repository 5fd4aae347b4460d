"""Where it ran."""

from __future__ import annotations

from accord.reporting.html import el
from accord.reporting.parts import Section
from accord.reporting.run import Run


def environment(run: Run) -> Section | None:
    """Return versions and machine as recorded, or ``None`` when nothing was."""
    facts = {**({"accord": run.metrics["accord"]} if run.metrics.get("accord") else {}), **run.part("environment")}
    if not facts:
        return None
    rows = [el("div", el("dt", str(key).replace("_", " ")), el("dd", value)) for key, value in facts.items()]
    return Section("environment", "Environment", el("dl", rows, class_="facts-list"))
