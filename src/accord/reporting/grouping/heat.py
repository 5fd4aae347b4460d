"""Who helps whom as a heat map, tasks in the order of their groups, with the tree of the clustering beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from accord.reporting.grouping.read import groups_of, helps_of, names_of, order_of
from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import finite, general
from accord.reporting.parts import Section, figure, table
from accord.reporting.run import mapping, sequence
from accord.reporting.svg.heat import level
from accord.reporting.svg.text import shorten, width

MOST = 100  # tasks of a map whose cells can still be seen
LABEL, SIDE, TREE = 176.0, 520.0, 96.0  # most room for names, least for cells, room for the tree
LISTED = 200


def affinity(found: Mapping[str, Any]) -> Section | None:
    """Return the section of the affinity; ``None`` where there is none."""
    helps, names, order = helps_of(found), names_of(found), order_of(found)
    if helps.shape != (len(names), len(names)) or not len(names):
        return None
    others = helps[~np.eye(len(helps), dtype=bool)]
    reach = float(np.nanquantile(np.abs(others), 0.98)) if np.isfinite(others).any() else 0.0
    title = str(mapping(found, "affinity").get("title"))
    lead = (
        f"{title}: a row's task helps (blue) or hurts (orange) a column's, less what is neutral. Tasks are in the "
        "order of the groups that serve them."
    )
    rows = _listed(helps, names)
    shown = rows[:LISTED]
    data = table("Pairs, most helpful first", ["Task", "Helps", "By"], shown)
    note = f"The strongest {LISTED} of {len(rows):,} pairs." if len(rows) > LISTED else None
    if len(names) > MOST:
        return Section("affinity", "Who helps whom", data, lead)
    picture = heat_map(found, helps, order, names, reach)
    return Section("affinity", "Who helps whom", figure("affinity-figure", "All pairs", picture, data, note=note), lead)


def heat_map(
    found: Mapping[str, Any], helps: np.ndarray, order: Sequence[int], names: Sequence[str], reach: float
) -> Markup:
    """Return the map; colours are full at ``reach``, groups are framed, joins of average linkage are to its right."""
    cell = min(40.0, max(8.0, SIDE / len(order)))
    size = 12.0 if cell >= 13 else 8.0
    label = min(LABEL, 16 + max(width(names[task], size) for task in order))
    side = label + cell * len(order)
    tree = _tree(found, order, cell, (side + 8, label))
    total = side + (16 + TREE if tree else 8)
    name = f"Who helps whom among {len(order)} tasks"
    inner = el(
        "svg",
        el("title", name),
        [
            _cell(helps, (i, j), (label + cell * b, label + cell * a), names, reach, cell)
            for a, i in enumerate(order)
            for b, j in enumerate(order)
        ],
        [_label(names[task], label + cell * (place + 0.5), label, size) for place, task in enumerate(order)],
        _frames(found, names, cell, label),
        tree,
        class_="heat-map",
        viewBox=f"0 0 {total:.0f} {side + 8:.0f}",
        width=f"{total:.0f}",
        role="img",
        aria_label=name,
        tabindex=0,
        data_cells=True,
    )
    return el("div", inner, class_="scroll", role="region", aria_label=name, tabindex=0)


def _cell(
    helps: np.ndarray, pair: tuple[int, int], at: tuple[float, float], names: Sequence[str], reach: float, size: float
) -> Markup:
    place = {"x": at[0], "y": at[1], "width": size - 0.5, "height": size - 0.5}
    if pair[0] == pair[1]:
        return el("rect", class_="self", **place, data_tip=names[pair[0]])
    value = finite(float(helps[pair]))
    tip = f"{names[pair[0]]}\nhelps {names[pair[1]]}\n{general(value)}"
    return el("rect", class_=level(value / reach if reach > 0 else 0.0), **place, data_tip=tip)


def _label(name: str, middle: float, room: float, size: float) -> list[Markup]:
    """Return a task's name left of its row and, turned, above its column."""
    text, base = shorten(name, room - 12, size), middle + size / 3
    look = "label base" if size > 8 else "label base fine"
    turn = f"rotate(-90 {base:.1f} {room - 6:.1f})"
    return [
        el("text", text, class_=look, x=room - 6, y=base, text_anchor="end"),
        el("text", text, class_=look, x=base, y=room - 6, transform=turn),
    ]


def _frames(found: Mapping[str, Any], names: Sequence[str], cell: float, room: float) -> list[Markup]:
    """Return a frame around the square of the tasks that each group serves."""
    frames, start = [], 0
    for group in groups_of(found):
        count = sum(name in names for name in group.serves)
        edge, side = room + cell * start - 1, cell * count + 1.5
        frames.append(el("rect", class_="group-frame", x=edge, y=edge, width=side, height=side))
        start += count
    return frames


def _tree(found: Mapping[str, Any], order: Sequence[int], cell: float, corner: tuple[float, float]) -> list[Markup]:
    """Return the joins as brackets; where groups are not cuts of the tree, lines cross."""
    joins = [[finite(value) for value in sequence(join)] for join in sequence(mapping(found, "affinity").get("joins"))]
    if len(joins) != len(order) - 1 or any(len(join) != 4 or math.isnan(sum(join)) for join in joins):
        return []
    top = max((join[2] for join in joins), default=0.0) or 1.0
    left, room = corner
    tips = {task: (left, room + cell * (place + 0.5)) for place, task in enumerate(order)}
    drawn = []
    for number, (first, second, distance, _) in enumerate(joins):
        x = left + TREE * distance / top
        (xa, ya), (xb, yb) = tips[int(first)], tips[int(second)]
        drawn.append(el("path", class_="joint", d=f"M {xa:.1f} {ya:.1f} H {x:.1f} V {yb:.1f} H {xb:.1f}"))
        tips[len(order) + number] = (x, (ya + yb) / 2)
    return drawn


def _listed(helps: np.ndarray, names: Sequence[str]) -> list[list[object]]:
    pairs = [(helps[i, j], i, j) for i in range(len(names)) for j in range(len(names)) if i != j]
    pairs.sort(key=lambda pair: -pair[0] if math.isfinite(pair[0]) else math.inf)
    return [[bdi(names[i]), bdi(names[j]), general(float(value))] for value, i, j in pairs]
