"""Mean ranks on one axis, with a bar over methods that cannot be told apart (a critical-difference diagram)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from accord.reporting.html import Markup, el
from accord.reporting.numbers import finite, fixed, plural
from accord.reporting.parts import Section, figure, responsive, table
from accord.reporting.run import mapping, sequence
from accord.reporting.svg.scale import Scale
from accord.reporting.svg.text import shorten

LINE, TOP = 24.0, 40.0
SIDE = 12.0


def ranks(found: Mapping[str, Any], names: Mapping[str, str]) -> Section | None:
    """Return the section of mean ranks; ``None`` where there are none.

    Args:
        found: the content of ``compare.json``.
        names: how methods are called by key.
    """
    facts = mapping(found, "ranks")
    mean = {names.get(key, key): finite(value) for key, value in mapping(facts, "mean").items()}
    if len(mean) < 2:
        return None
    cliques = [[names.get(str(key), str(key)) for key in sequence(clique)] for clique in sequence(facts.get("cliques"))]
    difference = finite(facts.get("critical_difference"))
    picture = responsive(lambda size: diagram(mean, cliques, difference, size[0]))
    rows = [[name, fixed(value, 2)] for name, value in mean.items()]
    blocks, needed = int(finite(facts.get("blocks"))), int(finite(facts.get("needed")))
    few = (
        f" Too few blocks: with {blocks} no pair of {len(mean)} methods could be told apart, however clear the "
        f"difference; that takes {needed}."
        if not facts.get("enough")
        else ""
    )
    friedman = finite(facts.get("friedman"))
    alike = f" Friedman's test of no difference at all: p = {friedman:.2g}." if friedman == friedman else ""
    note = (
        "A bar joins methods that Wilcoxon's signed-rank test, corrected by Holm's method, does not tell apart; the "
        f"ruler is Nemenyi's critical difference.{alike}{few}"
    )
    lead = f"Mean rank over {plural(blocks, 'block')}, one for each task and seed; 1 is best. They share one data set."
    body = figure("ranks-figure", "Mean ranks", picture, table("Mean ranks", ["Method", "Mean rank"], rows), note=note)
    return Section("ranks", "Ranks", body, lead)


def diagram(mean: Mapping[str, float], cliques: Sequence[Sequence[str]], difference: float, width: float) -> Markup:
    """Return the picture: ruler, axis, bars and names on lines that lead to their ranks."""
    count = len(mean)
    scale = Scale(1, count, SIDE, width - SIDE)
    axis = TOP + 8
    bars = axis + 16
    first = bars + 10 * len(cliques) + 20
    height = first + LINE * math.ceil(count / 2) + 4
    places = [(name, scale.at(value)) for name, value in mean.items()]
    half = (count + 1) // 2
    names = [_name(*place, i, "start", axis, first + LINE * i, width) for i, place in enumerate(places[:half])]
    right = list(reversed(places[half:]))
    names += [_name(*place, i, "end", axis, first + LINE * i, width) for i, place in enumerate(right)]
    told = "; ".join(f"{name} {value:.2f}" for name, value in mean.items())
    return el(
        "svg",
        el("title", f"Mean ranks: {told}"),
        _ruler(difference, scale),
        el("line", class_="axis", x1=scale.at(1), x2=scale.at(count), y1=axis, y2=axis),
        [
            el("text", str(r), class_="tick", x=scale.at(r), y=axis - 6, text_anchor="middle")
            for r in range(1, count + 1, max(1, count // 12))
        ],
        [_bar([mean[n] for n in clique], scale, bars + 10 * i) for i, clique in enumerate(cliques)],
        names,
        class_="chart",
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
    )


def _ruler(difference: float, scale: Scale) -> Markup | None:
    if not 0 < difference < scale.high - scale.low:
        return None
    start, end = scale.at(1), scale.at(1 + difference)
    return el(
        "g",
        el("line", class_="zero", x1=start, x2=end, y1=22.0, y2=22.0),
        [el("line", class_="zero", x1=x, x2=x, y1=18.0, y2=26.0) for x in (start, end)],
        el("text", f"critical difference {difference:.2f}", class_="axis-name", x=start, y=12.0),
    )


def _bar(values: Sequence[float], scale: Scale, y: float) -> Markup:
    return el("line", class_="clique", x1=scale.at(min(values)) - 4, x2=scale.at(max(values)) + 4, y1=y, y2=y)


def _name(name: str, x: float, index: int, anchor: str, axis: float, y: float, width: float) -> Markup:
    edge = SIDE if anchor == "start" else width - SIDE
    return el(
        "g",
        el("path", class_="reference", fill="none", d=f"M {x:.1f} {axis:.1f} V {y:.1f} H {edge:.1f}"),
        el("circle", class_="dot accent", cx=x, cy=axis, r=4),
        el("text", shorten(name, width / 2 - 24), class_="label base", x=edge, y=y - 4, text_anchor=anchor),
        data_index=index,
    )
