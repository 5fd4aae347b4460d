"""The page of a merge: what each model brought, by layer and by kind of tensor, and how to do it again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from accord.merging import RecipePlan
from accord.reporting.cover import cover, footer, notes
from accord.reporting.html import Markup, bdi, el
from accord.reporting.merging.facts import merge_facts, out_of, paragraph
from accord.reporting.numbers import finite, fixed, percent, plural, short
from accord.reporting.page import document
from accord.reporting.parts import Section, details, figure, matrix, responsive, table, tint
from accord.reporting.run import mapping, sequence
from accord.reporting.svg.heat import cell_text, level
from accord.reporting.svg.line_chart import Line, LineChart, line_chart
from accord.reporting.svg.text import shorten
from accord.reporting.tinted import tinted_yaml
from accord.reporting.write import write_page

Facts = Mapping[str, Any]
PERCENT = 100.0
# Pairs of models that have a line each; of more there are the extremes and the mean.
PAIRS = 3


def write_merge(plan: RecipePlan, path: str | Path | None = None) -> Path:
    """Write the report of a merge that has been run, as a page and beside it as ``merge.json``.

    Args:
        plan: of the merge; its inputs and its result are read once more.
        path: of the page; ``merge.html`` in the result's folder when left out.

    Returns:
        The path of the page.

    Raises:
        DataError: the result is not there.
        RunError: no room to write.
    """
    facts = merge_facts(plan)
    facts["paragraph"] = paragraph(facts)
    target = out_of(plan, path)
    write_page(target.with_suffix(".json"), json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return write_page(target, merge_page(facts))


def merge_page(facts: Facts) -> str:
    """Return the document that ``merge.json`` makes."""
    made = [_answer(facts), _directions(facts), _depth(facts), _kinds(facts), _recipe(facts)]
    sections = [section for section in made if section is not None]
    name, above = facts["name"], notes(facts.get("notes"))
    return document(f"{name}: Accord merge", _header(facts), sections, footer("Merge", name), above=above)


def _header(facts: Facts) -> Markup:
    size = mapping(facts, "bytes")
    models = [str(model["name"]) for model in sequence(facts.get("models"))]
    told = [
        plural(len(models), "model"),
        f"{short(finite(size.get('read')))}B read, {short(finite(size.get('written')))}B written",
    ]
    return cover("merge", facts["name"], el("code", facts["method"]), told)


def _answer(facts: Facts) -> Section | None:
    total = facts.get("total")
    said = el("p", facts["paragraph"], class_="verdict-text")
    if not total:
        return Section("contributions", "What each model brought", said)
    origin = "the base" if facts["reference"] == "base" else "the models' mean"
    head = ["Model", f"Moved from {origin}", "Kept in the result", "Gone against or dropped"]
    rows = [
        [
            _name(total, place),
            _share(total["moved"][place], 2),
            _share(total["kept"][place]),
            _share(total["against"][place]),
        ]
        for place in range(len(total["models"]))
    ]
    before, after = (finite(mapping(total, "interference").get(key)) for key in ("before", "after"))
    note = (
        f"A plain sum of all changes would cancel {percent(before)} of them; of the merge, {percent(after)} go against "
        "its direction or are dropped. Kept is the projection of a model's change on the merged one: 100 % is all of "
        "it, and less than 0 its opposite."
    )
    body = el("div", said, table("What each model brought", head, rows), el("p", note, class_="note"))
    return Section("contributions", "What each model brought", body)


def _directions(facts: Facts) -> Section | None:
    total = facts.get("total")
    if not total or len(total["models"]) < 2:
        return None
    names = total["models"]
    heads = [el("th", bdi(shorten(n, 120)), scope="col", title=n) for n in names]
    rows = [
        (el("th", bdi(shorten(n, 150)), scope="row", title=n), [_cell(total, i, j) for j in range(len(names))])
        for i, n in enumerate(names)
    ]
    box = matrix("Cosine between the changes of each pair of models", "Cosines between changes", heads, rows)
    lead = (
        "Cosine between changes over all weights: near 0 they have little to do with each other, below it they clash."
    )
    return Section("directions", "Do they pull together", figure("cosines", "All weights together", box), lead)


def _cell(total: Facts, i: int, j: int) -> Markup:
    if i == j:
        return el("td", el("span", "same model", class_="unseen"), class_="self")
    value = finite(total["cosines"][i][j])
    return el("td", cell_text(value), class_=level(value))


def _depth(facts: Facts) -> Section | None:
    layers = sequence(facts.get("layers"))
    stacks: dict[str, list[Facts]] = {}
    for layer in layers:
        stacks.setdefault(str(layer["stack"]), []).append(layer)
    drawn = [_stack(stack, found) for stack, found in stacks.items() if len(found) > 1]
    if not drawn:
        return None
    models = max(len(layer["models"]) for layer in layers)
    chance = percent(1.0 - 2.0 ** (1 - models))
    lead = f"By layer, from the first to the last. Changes that have nothing to do with each other clash in {chance}."
    return Section("depth", "Where in the model", el("div", drawn), lead)


def _stack(stack: str, layers: Sequence[Facts]) -> list[Markup]:
    names = list(dict.fromkeys(name for layer in layers for name in layer["models"]))
    key = stack.replace(".", "-") or "layers"
    charts = [
        _chart(
            f"{key}-moved", f"How far each model moved, {stack}", "moved", names, layers, "Change, % of the reference"
        ),
        _chart(f"{key}-kept", f"How much of each is kept, {stack}", "kept", names, layers, "Kept, %"),
    ]
    if len(names) > 1:
        charts.append(_alike(f"{key}-cosines", f"Cosines between changes, {stack}", names, layers))
    conflict = [finite(layer["conflict"]) * PERCENT for layer in layers]
    if np.isfinite(conflict).any():
        charts.append(_conflict(f"{key}-conflict", f"Opposite signs, {stack}", layers))
    return charts


def _chart(key: str, title: str, what: str, names: Sequence[str], layers: Sequence[Facts], about: str) -> Markup:
    xs = np.array([layer["layer"] for layer in layers], dtype=np.float64)
    values = {name: np.array([_of(layer, what, name) for layer in layers]) * PERCENT for name in names}
    lines = [Line(xs, ys, tint(place), name) for place, (name, ys) in enumerate(values.items())]
    head = ["Layer", *(bdi(name) for name in names)]
    rows = [[f"{x:.0f}", *(fixed(values[n][row], 1) for n in names)] for row, x in enumerate(xs)]
    chart = LineChart(title, about, lines, x_name="layer", emphasise=0.0 if what == "kept" else None)
    return figure(key, title, responsive(lambda size: line_chart(chart, size)), table(title, head, rows), note=about)


def _alike(key: str, title: str, names: Sequence[str], layers: Sequence[Facts]) -> Markup:
    pairs = list(combinations(names, 2))
    found = np.array([[_cosine(layer, a, b) for a, b in pairs] for layer in layers])
    about = "Near 0 two changes have little to do with each other, below it they clash."
    if len(pairs) <= PAIRS:
        values = {f"{a}, {b}": found[:, place] for place, (a, b) in enumerate(pairs)}
    else:
        about += " Of all pairs of models: the least cosine, their mean, and the largest."
        known = np.isfinite(found)
        low, high = np.where(known, found, np.inf).min(1), np.where(known, found, -np.inf).max(1)
        mean = np.where(known, found, 0.0).sum(1) / np.maximum(known.sum(1), 1)
        # A layer that only one model has has no cosine.
        values = {
            name: np.where(known.any(1), v, np.nan) for name, v in (("least", low), ("mean", mean), ("most", high))
        }
    xs = np.array([layer["layer"] for layer in layers], dtype=np.float64)
    lines = [Line(xs, ys, tint(place), name) for place, (name, ys) in enumerate(values.items())]
    rows = [[f"{x:.0f}", *(fixed(ys[row], 2) for ys in values.values())] for row, x in enumerate(xs)]
    chart = LineChart(title, about, lines, x_name="layer", emphasise=0.0)
    data = table(title, ["Layer", *(bdi(name) for name in values)], rows)
    return figure(key, title, responsive(lambda size: line_chart(chart, size)), data, note=about)


def _cosine(layer: Facts, a: str, b: str) -> float:
    names = layer["models"]
    return finite(layer["cosines"][names.index(a)][names.index(b)]) if a in names and b in names else float("nan")


def _conflict(key: str, title: str, layers: Sequence[Facts]) -> Markup:
    xs = np.array([layer["layer"] for layer in layers], dtype=np.float64)
    interference = [mapping(layer, "interference") for layer in layers]
    values = {
        "opposite": np.array([finite(layer["conflict"]) for layer in layers]) * PERCENT,
        "before": np.array([finite(each.get("before")) for each in interference]) * PERCENT,
        "after": np.array([finite(each.get("after")) for each in interference]) * PERCENT,
    }
    about = (
        "Opposite: numbers that models moved in opposite directions. Before: share of all changes that a plain sum "
        "cancels. After: share that the merge goes against or drops. In %."
    )
    lines = [Line(xs, ys, tint(place), name) for place, (name, ys) in enumerate(values.items())]
    rows = [[f"{x:.0f}", *(fixed(ys[row], 1) for ys in values.values())] for row, x in enumerate(xs)]
    chart = LineChart(title, about, lines, x_name="layer")
    data = table(title, ["Layer", *values], rows)
    return figure(key, title, responsive(lambda size: line_chart(chart, size)), data, note=about)


def _kinds(facts: Facts) -> Section | None:
    kinds = sequence(facts.get("kinds"))
    if not kinds:
        return None
    names = list(dict.fromkeys(name for kind in kinds for name in kind["models"]))
    head = [
        "Tensors",
        "Numbers",
        *(f"{name} moved" for name in names),
        "Opposite signs",
        *(f"{name} kept" for name in names),
    ]
    rows = [
        [
            el("code", bdi(kind["kind"])),
            short(finite(kind["elements"])),
            *(_share(_of(kind, "moved", name), 1) for name in names),
            _share(kind["conflict"]),
            *(_share(_of(kind, "kept", name)) for name in names),
        ]
        for kind in kinds
    ]
    lead = "The same tensors of all layers together."
    return Section("kinds", "By kind of tensor", table("By kind of tensor", head, rows), lead)


def _recipe(facts: Facts) -> Section:
    settings = [[el("code", each["method"]), f"{each['tensors']:,}"] for each in sequence(facts.get("settings"))]
    pre = el("pre", el("code", tinted_yaml(facts["recipe"]), id="spec"), tabindex=0, aria_label="recipe", role="region")
    body = el(
        "div",
        details(
            plural(len(settings), "setting") + " of the method", table("Settings", ["Method", "Tensors"], settings)
        ),
        el("h3", "accord-recipe.yaml"),
        el(
            "div", el("button", "Copy", type="button", class_="copy", data_copy="spec", hidden=True), pre, class_="code"
        ),
    )
    return Section("recipe", "Recipe", body, "Complete, defaults included: accord merge makes the same bytes of it.")


def _of(part: Facts, what: str, name: str) -> float:
    return finite(part[what][part["models"].index(name)]) if name in part["models"] else float("nan")


def _name(total: Facts, place: int) -> Markup:
    swatch = el("span", class_="swatch", aria_hidden="true")
    return el("span", swatch, bdi(total["models"][place]), class_=f"task {tint(place)}")


def _share(value: object, places: int = 0) -> str:
    number = finite(value)
    return f"{fixed(number * PERCENT, places)} %" if np.isfinite(number) else fixed(number, places)
