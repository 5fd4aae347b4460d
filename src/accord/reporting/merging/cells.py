"""Cells of the tables of a merge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from accord.reporting.html import Markup, bdi, el
from accord.reporting.numbers import finite, fixed
from accord.reporting.parts import tint

Facts = Mapping[str, Any]
PERCENT = 100.0


def without_base(facts: Facts) -> bool:
    """Return whether the facts are of adapters, whose changes are lengths and no shares of a base."""
    return facts["reference"] == "nothing"


def of(part: Facts, what: str, name: str) -> float:
    """Return what a part of the model says of one model, NaN where that has no share in it."""
    return finite(part[what][part["models"].index(name)]) if name in part["models"] else float("nan")


def coloured(name: str, place: int) -> Markup:
    """Return a name behind the colour of its place."""
    swatch = el("span", class_="swatch", aria_hidden="true")
    return el("span", swatch, bdi(name), class_=f"task {tint(place)}")


def share(value: object, places: int = 0) -> str:
    """Return a share of 1 as per cent."""
    number = finite(value)
    return f"{fixed(number * PERCENT, places)} %" if np.isfinite(number) else fixed(number, places)
