"""What the rank of a merged adapter leaves out."""

from __future__ import annotations

import numpy as np

from accord.reporting.html import bdi, el
from accord.reporting.merging.cells import PERCENT, Facts, share
from accord.reporting.merging.depth import by_layer, key_of, stacks
from accord.reporting.numbers import finite, general, plural
from accord.reporting.parts import Section, table
from accord.reporting.run import sequence

SHOWN = 12


def rank(facts: Facts) -> Section | None:
    """Return the section; ``None`` where nothing is left out, or nothing is known of it."""
    total = facts.get("total")
    if not total or not total.get("left_out"):
        return None
    about = "Left out by the rank, % of the length of the merged change."
    charts = [
        by_layer(
            f"{key_of(stack)}-rank",
            f"Left out by the rank, {stack}",
            about,
            layers,
            {"left out": np.array([finite(layer["left_out"]) for layer in layers]) * PERCENT},
        )
        for stack, layers in stacks(facts).items()
    ]
    worst = sorted(sequence(facts.get("tensors")), key=lambda each: -(each["left_out"] or 0.0))
    rows = [
        [
            el("code", bdi(each["name"].removesuffix(".weight"))),
            share(each["left_out"], 1),
            general(finite(each["merged_length"])),
        ]
        for each in worst[:SHOWN]
    ]
    rest = len(worst) - len(rows)
    more = el("p", f"{plural(rest, 'more module')} in merge.json.", class_="note") if rest else None
    title = "What the rank leaves out"
    lead = (
        f"A product of rank {facts['rank']} holds the nearest part of each merged change. Left out is the length of "
        "the rest, as a share of the whole change (norm)."
    )
    body = el("div", charts, table(title, ["Module, most affected first", "Left out", "Length kept"], rows), more)
    return Section("rank", title, body, lead)
