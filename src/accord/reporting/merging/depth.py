"""What a merge did from the first layer to the last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from accord.reporting.html import Markup, bdi, el
from accord.reporting.merging.cells import PERCENT, Facts, of, without_base
from accord.reporting.numbers import finite, fixed, general, percent
from accord.reporting.parts import Section, figure, responsive, table, tint
from accord.reporting.run import mapping, sequence
from accord.reporting.svg.line_chart import Line, LineChart, line_chart

# Pairs of models that have a line each; of more there are the extremes and the mean.
PAIRS = 3
MERGE = "the merge"


def depth(facts: Facts) -> Section | None:
    """Return the charts by layer, ``None`` of a model without several layers."""
    layers = sequence(facts.get("layers"))
    drawn = [_stack(stack, found, lengths=without_base(facts)) for stack, found in stacks(facts).items()]
    if not drawn:
        return None
    models = max(len(layer["models"]) for layer in layers)
    chance = percent(0.5)
    if models > 2:
        chance += f" where two change a number, and {percent(1.0 - 2.0 ** (1 - models))} where all {models} do"
    lead = f"By layer, from the first to the last. Changes that have nothing to do with each other clash in {chance}."
    return Section("depth", "Where in the model", el("div", drawn), lead)


def stacks(facts: Facts) -> dict[str, list[Facts]]:
    """Return the layers of each stack that has several."""
    found: dict[str, list[Facts]] = {}
    for layer in sequence(facts.get("layers")):
        found.setdefault(str(layer["stack"]), []).append(layer)
    return {stack: layers for stack, layers in found.items() if len(layers) > 1}


def key_of(stack: str) -> str:
    """Return what the figures of a stack are called by."""
    return stack.replace(".", "-") or "layers"


def _stack(stack: str, layers: Sequence[Facts], *, lengths: bool) -> list[Markup]:
    names = list(dict.fromkeys(name for layer in layers for name in layer["models"]))
    key = key_of(stack)
    kept = {name: np.array([of(layer, "kept", name) for layer in layers]) * PERCENT for name in names}
    charts = [
        _lengths(f"{key}-lengths", f"Length of each change, {stack}", names, layers)
        if lengths
        else _moved(f"{key}-moved", f"How far each model moved, {stack}", names, layers),
        by_layer(f"{key}-kept", f"How much of each is kept, {stack}", "Kept, %", layers, kept, zero=True),
    ]
    if len(names) > 1:
        charts.append(_alike(f"{key}-cosines", f"Cosines between changes, {stack}", names, layers))
    conflict = [finite(layer["conflict"]) * PERCENT for layer in layers]
    if np.isfinite(conflict).any():
        charts.append(_conflict(f"{key}-conflict", f"Opposite signs, {stack}", layers))
    return charts


def _moved(key: str, title: str, names: Sequence[str], layers: Sequence[Facts]) -> Markup:
    values = {name: np.array([of(layer, "moved", name) for layer in layers]) * PERCENT for name in names}
    return by_layer(key, title, "Change, % of the reference", layers, values)


def _lengths(key: str, title: str, names: Sequence[str], layers: Sequence[Facts]) -> Markup:
    values = {name: np.array([of(layer, "lengths", name) for layer in layers]) for name in names}
    values[MERGE] = np.array([finite(layer["merged_length"]) for layer in layers])
    return by_layer(key, title, "Frobenius norm of the change of a layer's weights.", layers, values, digits=None)


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
    return by_layer(key, title, about, layers, values, digits=2, zero=True)


def _cosine(layer: Facts, a: str, b: str) -> float:
    names = layer["models"]
    return finite(layer["cosines"][names.index(a)][names.index(b)]) if a in names and b in names else float("nan")


def _conflict(key: str, title: str, layers: Sequence[Facts]) -> Markup:
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
    return by_layer(key, title, about, layers, values)


def by_layer(
    key: str,
    title: str,
    about: str,
    layers: Sequence[Facts],
    values: Mapping[str, np.ndarray],
    *,
    digits: int | None = 1,
    zero: bool = False,
) -> Markup:
    """Return a line for each name, and the same numbers as a table.

    Args:
        key: of the figure.
        title: of it.
        about: says what the numbers are.
        layers: along the other axis.
        values: ``[layers]`` by name.
        digits: behind the point in the table; ``None`` is three significant ones.
        zero: whether 0 is a line of its own.
    """
    xs = np.array([layer["layer"] for layer in layers], dtype=np.float64)
    lines = [Line(xs, ys, tint(place), name) for place, (name, ys) in enumerate(values.items())]
    chart = LineChart(title, about, lines, x_name="layer", emphasise=0.0 if zero else None)
    rows = [
        [f"{x:.0f}", *(general(ys[row]) if digits is None else fixed(ys[row], digits) for ys in values.values())]
        for row, x in enumerate(xs)
    ]
    data = table(title, ["Layer", *(bdi(name) for name in values)], rows)
    return figure(key, title, responsive(lambda size: line_chart(chart, size)), data, note=about)
