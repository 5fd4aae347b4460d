"""From the parts of a recipe to tensors with their methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from accord.errors import ConfigurationError
from accord.merging.align import align
from accord.merging.entry import Entry, Rules
from accord.merging.merging_method import MergingMethod
from accord.merging.recipe.dialect import Dialect, find_dialect, own_options
from accord.merging.recipe.parts import Member, Part
from accord.merging.recipe.schema import Recipe
from accord.merging.recipe.settings import Option, Settings, evaluate, resolve
from accord.merging.recipe.translate import Values
from accord.merging.recipe.view import Reader, View


def entries_of(
    recipe: Recipe, parts: Sequence[Part], instead: Mapping[int, Mapping[str, Reader]]
) -> tuple[list[Entry], dict[str, tuple[str, ...]]]:
    """Return the tensors of the result, and the names of the models that each is merged from, without its base.

    Args:
        recipe: what to merge.
        parts: of the result.
        instead: for each model, by the identity of its tensors, what takes the place of some.

    Raises:
        ConfigurationError: a parameter is missing, or none of its method's.
        DataError: models do not fit each other.
    """
    dialect = find_dialect(recipe.method)
    entries: list[Entry] = []
    models_of: dict[str, tuple[str, ...]] = {}
    for part in parts:
        base, models = roles(part, dialect)
        views = {id(member): _view(member, instead) for member in part.members}
        methods = Methods(recipe, part, dialect, base, models)
        first = methods.of(next(iter(views[id(models[0] if models else part.members[0])])))
        aligned = align(
            first,
            None if base is None else views[id(base)],
            [views[id(member)] for member in models],
            rules_of(recipe),
        )
        entries += [replace(entry, method=methods.of(entry.name)) for entry in aligned]
        labels = tuple(member.model.label for member in models)
        models_of |= dict.fromkeys((entry.name for entry in aligned), labels)
    _check_span(entries)
    return entries, models_of


def roles(part: Part, dialect: Dialect) -> tuple[Member | None, list[Member]]:
    """Return the base and the other models of a part, as its method sees them."""
    if dialect.base == "input" or part.base is None:
        return None, list(part.members)
    base = part.members[part.base]
    return base, [member for place, member in enumerate(part.members) if place != part.base]


class Methods:
    """The method of each tensor of a part; tensors with the same parameters have the same one."""

    def __init__(
        self, recipe: Recipe, part: Part, dialect: Dialect, base: Member | None, models: Sequence[Member]
    ) -> None:
        self.recipe = recipe
        self.part = part
        self.dialect = dialect
        self.base = base
        self.models = models
        self.own = own_options(recipe.method)
        self._made: dict[str, MergingMethod] = {}

    def of(self, name: str) -> MergingMethod:
        """Return the method that merges the tensor ``name`` of the result."""
        shared, each = self._own(name) if self.own is not None else self._parameters(name)
        key = repr((shared, each))
        if key not in self._made:
            self._made[key] = self.dialect.make(Values(shared, each, self.recipe.seed))
        return self._made[key]

    def _parameters(self, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        depth = self.part.depths.get(name, 0.0)
        around = (self.part.slice.parameters, self.recipe.parameters)
        options = self.dialect.options
        shared = {o.name: resolve(o, around, name, depth, "the recipe") for o in options if not o.each}
        each = [
            {
                o.name: resolve(o, (m.source.parameters, *around), m.names.get(name, name), depth, m.model.label)
                for o in options
                if o.each
            }
            for m in self.models
        ]
        return shared, each

    def _own(self, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return what a recipe says of our own options: lists are lists, what stands at a model is one of a list."""
        around = (self.part.slice.parameters, self.recipe.parameters)
        return _literal(self.own or (), around, name), [
            _literal(self.own or (), (m.source.parameters,), m.names.get(name, name)) for m in self.models
        ]


def _literal(options: Sequence[str], scopes: Sequence[Settings], name: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option in options:
        for scope in scopes:
            if scope is None or option not in scope or option in found:
                continue
            setting = scope[option]
            listed = setting if isinstance(setting, list) else [setting]
            chosen = setting
            if any(isinstance(entry, Mapping) for entry in listed):
                entry = next((e for e in listed if isinstance(e, Mapping) and _fits(e, option, name)), None)
                chosen = None if entry is None else entry["value"]
            if chosen is not None:
                found[option] = chosen
    return found


def _fits(entry: Mapping[str, Any], option: str, name: str) -> bool:
    tried = {**entry, "value": True} if "value" in entry else entry
    return evaluate([tried], Option(option, "yes or no"), name, 0.0) is not None


def rules_of(recipe: Recipe) -> Rules:
    """Return what happens where models differ."""
    return Rules(missing=recipe.missing, extra=recipe.extra, dtype=dtype_of(recipe.dtype))


def dtype_of(name: str | None) -> Any:
    """Return the PyTorch type of a name of :data:`DTYPES`; ``None`` of ``None``."""
    import torch

    return None if name is None else getattr(torch, name)


def _view(member: Member, instead: Mapping[int, Mapping[str, Reader]]) -> View:
    model = member.model
    replaced = instead.get(id(model), {})
    return View(
        model.label,
        model.tensors,
        member.names,
        {name: replaced[own] for name, own in member.names.items() if own in replaced},
    )


def _check_span(entries: Sequence[Entry]) -> None:
    spanning = {repr(entry.method): entry for entry in entries if entry.method.scope == "model"}
    if len(spanning) > 1:
        first, second = list(spanning.values())[:2]
        raise ConfigurationError(
            f"{first.method!r} for {first.name} and {second.method!r} for {second.name}: a method that ranks entries "
            "of the whole model has the same options everywhere; rank them by tensor (trim: tensor), or drop filters"
        )
