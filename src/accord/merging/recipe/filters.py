"""Filters and gradients of a recipe that decide nothing for the models at hand, where mergekit reads past them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from accord.merging.recipe.dialect import own_options
from accord.merging.recipe.parts import Part
from accord.merging.recipe.schema import Recipe


def without_effect(recipe: Recipe, parts: Sequence[Part]) -> list[str]:
    """Return a sentence for every filter that fits no tensor or is never asked, and for gradients without layers."""
    names = {name for part in parts for member in part.members for own in member.names.items() for name in own}
    layered = any(depth > 0.0 for part in parts for depth in part.depths.values())
    said = []
    for parameter, value in _settings(recipe):
        said += [f"{parameter}: {reason}" for reason in _idle(value, names)]
        if not layered and own_options(recipe.method) is None and _graded(value):
            said.append(
                f"{parameter}: the tensors' names tell of no layers, so that a list's first entry holds for all"
            )
    return list(dict.fromkeys(said))


def _settings(recipe: Recipe) -> Iterator[tuple[str, Any]]:
    yield from recipe.parameters.items()
    for part in recipe.slices:
        yield from part.parameters.items()
        for source in part.sources:
            yield from source.parameters.items()


def _idle(value: Any, names: Collection[str]) -> Iterator[str]:
    entries = [entry for entry in (value if isinstance(value, list) else [value]) if isinstance(entry, Mapping)]
    for place, entry in enumerate(entries):
        pattern = entry.get("filter")
        if pattern is None or pattern == "*":
            if later := entries[place + 1 :]:
                yield f"{later[0]} comes after what holds for all tensors, and decides nothing"
            return
        if not any(str(pattern) in name for name in names):
            yield f"the filter {pattern!r} is part of no tensor's name, and decides nothing"


def _graded(value: Any) -> bool:
    if not isinstance(value, list):
        return isinstance(value, Mapping) and _graded(value.get("value"))
    return any(map(_graded, value)) if any(isinstance(entry, Mapping) for entry in value) else len(value) > 1
