"""Which tensors of which models make which part of the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from accord.errors import ConfigurationError
from accord.merging.layers import comes_before, depth, depth_of, main_stack, place, stacks
from accord.merging.recipe.inputs import Inputs, Model
from accord.merging.recipe.reference import Reference
from accord.merging.recipe.schema import Recipe, Slice, Source


@dataclass(frozen=True, slots=True)
class Member:
    """A model in a part.

    Attributes:
        source: what the recipe says of it.
        model: the model.
        names: its name of each tensor by the tensor's name in the result.
    """

    source: Source
    model: Model
    names: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """Tensors of the result that are merged from the same models.

    Attributes:
        slice: what the recipe says of them.
        members: the models, in the recipe's order; a base that it does not list is last.
        base: place of the base among them, or ``None``.
        depths: how deep each tensor lies, from 0 to 1.
        picks: the model and layer that each layer of the result takes its place from; empty where none moves.
    """

    slice: Slice
    members: tuple[Member, ...]
    base: int | None
    depths: Mapping[str, float]
    picks: tuple[tuple[Model, int], ...] = ()


def parts_of(recipe: Recipe, inputs: Inputs, add_base: bool) -> list[Part]:
    """Return the parts, from the first layer to the last.

    Args:
        recipe: what to merge.
        inputs: opens models.
        add_base: whether a base that is no source takes part.

    Raises:
        ConfigurationError: slices of different lengths, or of a base whose layers nobody can know.
        DataError: layers that a model lacks.
    """
    if not recipe.sliced:
        (only,) = recipe.slices
        return [_whole(only, _with_base(only, recipe.base, add_base), recipe.base, inputs)]
    return _stacked(recipe, inputs, add_base)


def _whole(part: Slice, sources: tuple[Source, ...], base: Reference | None, inputs: Inputs) -> Part:
    models = [inputs.model(source.model) for source in sources]
    members = tuple(
        Member(source, model, {name: name for name in model.tensors})
        for source, model in zip(sources, models, strict=True)
    )
    found = stacks(models[0].tensors)
    depths = {name: depth(name, found) for model in models for name in model.tensors}
    return Part(part, members, _place(sources, base), depths)


def _stacked(recipe: Recipe, inputs: Inputs, add_base: bool) -> list[Part]:
    parts: list[Part] = []
    leader = inputs.model(recipe.slices[0].sources[0].model)
    stack = main_stack(leader.tensors, leader.label, recipe.layers)
    offset = 0
    for number, part in enumerate(recipe.slices):
        base = part.base or recipe.base
        sources = _with_base(part, base, add_base)
        count = _length(part, number)
        ends = (number == 0, number == len(recipe.slices) - 1)
        members, picks = [], []
        for source in sources:
            model = inputs.model(source.model)
            members.append(Member(source, model, _names(model, source, stack, offset, ends, recipe.layers)))
        first = members[0]
        assert first.source.layers is not None
        picks = [(first.model, first.source.layers[0] + step) for step in range(count)]
        depths = {name: _depth(name, stack, offset, count) for member in members for name in member.names}
        parts.append(Part(part, tuple(members), _place(sources, base), depths, tuple(picks)))
        offset += count
    return parts


def _names(
    model: Model, source: Source, stack: str, offset: int, ends: tuple[bool, bool], wanted: str | None
) -> dict[str, str]:
    """Return ``{name in the result: name in the model}`` of a slice; the first and last hold what is no layer."""
    own = main_stack(model.tensors, model.label, wanted)
    assert source.layers is not None
    first, end = source.layers
    layers = stacks(model.tensors)[own]
    if end > layers:
        raise ConfigurationError(f"{model.label} has {layers} layers, of which layer_range [{first}, {end}] is no part")
    before, names, after = {}, {}, {}
    for name in model.tensors:
        at = place(name)
        if at is None or at.stack != own:
            (before if comes_before(name) else after)[name] = name
        elif first <= at.index < end:
            index = offset + at.index - first
            names[f"{stack}.{index}.{at.rest}" if stack else f"{index}.{at.rest}"] = name
    return {**(before if ends[0] else {}), **names, **(after if ends[1] else {})}


def _depth(name: str, stack: str, offset: int, count: int) -> float:
    at = place(name)
    return depth_of(at.index - offset, count) if at is not None and at.stack == stack else 0.0


def _length(part: Slice, number: int) -> int:
    lengths = {source.layers[1] - source.layers[0] for source in part.sources if source.layers is not None}
    if len(lengths) != 1:
        raise ConfigurationError(f"slices[{number}]: its sources have {sorted(lengths)} layers; they must have as many")
    return lengths.pop()


def _with_base(part: Slice, base: Reference | None, add_base: bool) -> tuple[Source, ...]:
    if base is None or not add_base or any(source.model == base for source in part.sources):
        return part.sources
    ranges = {source.layers for source in part.sources}
    if len(ranges) > 1:
        raise ConfigurationError(
            f"the sources of a slice are different layers, and it is not said which of the base's belong to them; add "
            f"{{model: {base}, layer_range: [...]}} to the sources"
        )
    return (*part.sources, Source(base, ranges.pop()))


def _place(sources: tuple[Source, ...], base: Reference | None) -> int | None:
    return next((place for place, source in enumerate(sources) if source.model == base), None)
