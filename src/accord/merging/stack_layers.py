"""Layers of several models, one on top of the other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.merging.merging_method import Weights


class Stack(Mapping[str, Tensor]):
    """The tensors of a stack, read from its models when they are asked for.

    Attributes:
        layers: how many there are; the configuration of such a model must say so, too.
    """

    def __init__(self, where: Mapping[str, tuple[Mapping[str, Tensor], str]], layers: int) -> None:
        self.layers = layers
        self._where = where

    def __getitem__(self, name: str) -> Tensor:
        model, own = self._where[name]
        return model[own]

    def __iter__(self) -> Iterator[str]:
        return iter(self._where)

    def __len__(self) -> int:
        return len(self._where)


def stack_layers(
    slices: Sequence[tuple[Weights, int, int]], *, prefix: str | None = None, rest: Weights | None = None
) -> Stack:
    """Stack slices of layers, numbered anew from 0, as a model for :class:`Passthrough` or any other method.

    Args:
        slices: (model, first layer, end), bottom first; the end is not included. A model may come several times.
        prefix: of the names of layers, such as ``"model.layers."``; the one before most numbered names when left out.
        rest: the model of all other tensors, such as embeddings; that of the first slice when left out.

    Raises:
        ConfigurationError: there are no layers, or a slice asks for some that its model lacks.
    """
    if not slices:
        raise ConfigurationError("a stack needs at least one slice")
    opened = [(_state(model), first, end) for model, first, end in slices]
    prefix = _prefix(opened[0][0]) if prefix is None else prefix
    others = opened[0][0] if rest is None else _state(rest)
    where = {name: (others, name) for name in others if _layer(name, prefix) is None}
    count = 0
    for model, first, end in opened:
        members: dict[int, list[str]] = {}
        for name in model:
            if (layer := _layer(name, prefix)) is not None:
                members.setdefault(layer, []).append(name)
        for layer in _range(first, end, members, prefix):
            for name in members[layer]:
                where[f"{prefix}{count}.{name.removeprefix(f'{prefix}{layer}.')}"] = (model, name)
            count += 1
    return Stack(where, count)


def _range(first: int, end: int, members: Mapping[int, list[str]], prefix: str) -> range:
    chosen = range(first, end)
    if not chosen or any(layer not in members for layer in chosen):
        raise ConfigurationError(
            f"layers {first} to {end} (not included) are no slice of a model with the layers {sorted(members)} under "
            f"{prefix!r}; give others, or the prefix of the names of layers"
        )
    return chosen


def _layer(name: str, prefix: str) -> int | None:
    found = re.match(rf"{re.escape(prefix)}(\d+)\.", name)
    return int(found[1]) if found else None


def _prefix(model: Mapping[str, Tensor]) -> str:
    # Blocks may be numbered within a layer; those names count for the outermost number.
    found = Counter(match[1] for name in model if (match := re.match(r"^((?:[^.]*[^.\d][^.]*\.)*?)(\d+)\.", name)))
    if not found:
        raise ConfigurationError("no tensor has a number in its name; give the prefix of the names of layers")
    return found.most_common(1)[0][0]


def _state(model: Weights) -> Mapping[str, Tensor]:
    return model.state_dict() if isinstance(model, nn.Module) else model
