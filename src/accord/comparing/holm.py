"""Many comparisons at once: p-values that stay honest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Name = TypeVar("Name")


def holm(values: Mapping[Name, float]) -> dict[Name, float]:
    """Return p-values corrected for their number, so that the chance of any false alarm keeps to the level.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979. It needs no independence.
    """
    ordered = sorted(values, key=lambda name: values[name])
    corrected: dict[Name, float] = {}
    largest = 0.0
    for place, name in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - place) * values[name]))
        corrected[name] = largest
    return {name: corrected[name] for name in values}
