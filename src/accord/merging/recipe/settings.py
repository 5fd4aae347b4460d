"""What a parameter of a recipe is worth for one tensor: filters by name, gradients over depth, nearer scopes first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from accord.errors import ConfigurationError

Kind = Literal["number", "whole", "yes or no", "text"]
Settings = Mapping[str, Any] | None
REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Option:
    """A parameter of a method, as recipes write it.

    Attributes:
        name: in the recipe.
        kind: of its value.
        default: its value when nobody says; :data:`REQUIRED` if somebody must.
        each: whether every model has its own.
    """

    name: str
    kind: Kind = "number"
    default: Any = REQUIRED
    each: bool = False


def resolve(option: Option, scopes: Iterable[Settings], tensor: str, depth: float, where: str) -> Any:
    """Return the value of ``option`` for a tensor.

    Args:
        option: what is asked for.
        scopes: settings from the nearest to the farthest; the first that says something about the tensor is taken.
        tensor: its name; empty where one value is for all.
        depth: its place in the stack of layers, 0 the first and 1 the last.
        where: what messages call the place: the model's name, or the recipe.

    Raises:
        ConfigurationError: a value of another kind, or no value for a required option.
    """
    for scope in scopes:
        if scope is not None and option.name in scope:
            value = evaluate(scope[option.name], option, tensor, depth)
            if value is not None:
                return value
    if option.default is REQUIRED:
        places = "the model or" if option.each else "a slice, where there are some, or"
        raise ConfigurationError(
            f"{where} has no {option.name}{f' for {tensor}' * bool(tensor)}: give one under parameters of {places} the "
            f"whole recipe{'' if option.each else '; at a model it decides nothing'}{_unmatched(option, scopes)}"
        )
    return option.default


def evaluate(setting: Any, option: Option, tensor: str, depth: float) -> Any:
    """Return what a setting says about a tensor, or ``None`` where its filters leave the tensor out.

    A list of numbers is a gradient: its entries lie evenly over the layers, and values between them are interpolated. A
    list of words or of yes and no is cut into as many parts. A list of mappings ``{filter, value}`` is searched for the
    first whose ``filter`` is part of the tensor's name; no filter, or ``*``, is part of every name.
    """
    if isinstance(setting, Mapping):
        setting = [setting]
    if not isinstance(setting, list):
        return _value(setting, option)
    if not any(isinstance(entry, Mapping) for entry in setting):
        return _along(setting, option, depth)
    for entry in setting:
        if not isinstance(entry, Mapping) or "value" not in entry or set(entry) - {"filter", "value"}:
            raise ConfigurationError(f"{option.name}: {entry!r} is not of the form {{filter: NAME, value: VALUE}}")
        pattern = entry.get("filter")
        if pattern is None or pattern == "*" or str(pattern) in tensor:
            return evaluate(entry["value"], option, tensor, depth)
    return None


def _along(values: list[Any], option: Option, depth: float) -> Any:
    if not values:
        raise ConfigurationError(f"{option.name}: an empty list says nothing; give a number, or leave it out")
    found = [_value(value, option) for value in values]
    place = depth * (len(found) - 1)
    first = int(place)
    if option.kind not in ("number", "whole"):
        return found[first]
    share = place - first
    between = (1.0 - share) * found[first] + share * found[min(first + 1, len(found) - 1)]
    return round(between) if option.kind == "whole" else between


def _value(value: Any, option: Option) -> Any:
    kind = option.kind
    try:
        if kind == "yes or no" and isinstance(value, bool | int | float) and value in (0, 1):
            return bool(value)
        if kind == "text" and isinstance(value, str):
            return value
        if kind == "number" and not isinstance(value, bool) and math.isfinite(float(value)):
            return float(value)  # YAML reads 1e-5 as a text
        if kind == "whole" and not isinstance(value, bool) and float(value) == int(float(value)):
            return int(float(value))
    except (TypeError, ValueError, OverflowError):
        pass
    raise ConfigurationError(f"{option.name}: {value!r} is no {kind}")


def _unmatched(option: Option, scopes: Iterable[Settings]) -> str:
    given = any(scope is not None and option.name in scope for scope in scopes)
    return "; no filter of those given fits its name: add one without filter at the end" if given else ""
