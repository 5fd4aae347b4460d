"""Where the layers of a model are, read off the names of its tensors instead of a list of architectures."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from accord.errors import DataError, suggest

NUMBERED = re.compile(r"^(?:(.+?)\.)?(\d+)\.(.+)$")
# What comes before the layers, of which stacked models take it from their first slice, says so in its name.
BEFORE = re.compile(r"(^|[._])(\w*embed\w*|wte|wpe|shared|patch\w*|cls_token|conv1)([._]|$)")


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor's place in a stack of layers: ``{stack}.{index}.{rest}``."""

    stack: str
    index: int
    rest: str

    def moved(self, index: int) -> str:
        """Return the name of the same tensor in another layer."""
        return f"{self.stack}.{index}.{self.rest}" if self.stack else f"{index}.{self.rest}"


def place(name: str) -> Place | None:
    """Return where a tensor lies: the first number in its name is the layer's (later ones are experts and the like)."""
    found = NUMBERED.match(name)
    return Place(found[1] or "", int(found[2]), found[3]) if found else None


def unit(name: str, by: Literal["block", "module"]) -> str:
    """Return what a tensor is part of, as ``model.layers.3``.

    Args:
        name: of the tensor.
        by: the numbered layer of a stack with all that is in it, else, or where there is none, the module: the tensors
            whose names differ in the last word alone. A tensor of no module stands by itself.
    """
    at = place(name) if by == "block" else None
    if at is not None:
        return f"{at.stack}.{at.index}" if at.stack else str(at.index)
    return name.rpartition(".")[0] or name


def stacks(names: Iterable[str]) -> dict[str, int]:
    """Return ``{stack: number of layers}``; a stack is numbered from 0 without gaps."""
    seen: dict[str, set[int]] = {}
    for name in names:
        if (at := place(name)) is not None:
            seen.setdefault(at.stack, set()).add(at.index)
    return {stack: len(found) for stack, found in seen.items() if found == set(range(len(found)))}


def depth(name: str, layers: dict[str, int]) -> float:
    """Return how deep a tensor lies: 0 in the first layer, 1 in the last or only one; 0 outside of stacks."""
    at = place(name)
    if at is None or at.stack not in layers:
        return 0.0
    return depth_of(at.index, layers[at.stack])


def depth_of(index: int, count: int) -> float:
    """Return the depth of a layer among ``count``."""
    return index / (count - 1) if count > 1 else 1.0


def main_stack(names: Iterable[str], label: str, wanted: str | None = None) -> str:
    """Return the stack that slices are cut from.

    Args:
        names: of a model's tensors.
        label: of the model, for messages.
        wanted: the stack that the recipe names.

    Raises:
        DataError: there is none, or there are several and the recipe names none of them.
    """
    found = stacks(names)
    if wanted is not None:
        if wanted not in found:
            raise DataError(f"{label} has no stack of layers {wanted!r}. {suggest(wanted, found)}")
        return wanted
    several = {stack: count for stack, count in found.items() if count > 1} or found
    if not several:
        raise DataError(f"{label} has no numbered layers that could be cut into slices")
    if len(several) > 1:
        listed = ", ".join(f"{stack} ({count})" for stack, count in several.items())
        raise DataError(f"{label} has several stacks of layers: {listed}; say which one to cut as `layers: NAME`")
    return next(iter(several))


def comes_before(name: str) -> bool:
    """Return whether a tensor outside the layers belongs to what comes before them, such as an embedding."""
    return BEFORE.search(name) is not None and not name.startswith(("lm_head", "head."))
