"""Find a method by the snake-case of its class name; a room's ``__all__`` is its registry."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from typing import Any

from accord.errors import ConfigurationError, MissingOptionError, suggest
from accord.method import Method

# Rooms that hold methods. A room joins by being named here and giving its classes a ``method`` record.
ROOMS: tuple[str, ...] = ("weighting", "aggregation", "sampling", "steps", "sharing", "pareto", "merging", "grouping")
# What takes the methods of a room, for those who look for one of them in another.
TAKEN_BY = {
    "weighting": "--balancing",
    "aggregation": "--balancing",
    "sampling": "--sampling",
    "sharing": "--sharing",
    "pareto": "accord front",
    "merging": "accord merge",
    "grouping": "accord group",
}


def snake(name: str) -> str:
    """Return the registry name of a class name: ``DynamicWeightAverage`` -> ``dynamic_weight_average``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][A-Za-z])", "_", name).lower()


def _key(name: str) -> str:
    # People write aligned-mtl, AlignedMTL and aligned_mtl; all three are the same method.
    return re.sub(r"[-_\s]", "", name).lower()


def registered(*rooms: str) -> dict[str, type]:
    """Return ``{registry name: class}`` of the methods in ``rooms`` (all rooms when none is named)."""
    found: dict[str, type] = {}
    for room in rooms or ROOMS:
        module = importlib.import_module(f"accord.{room}")
        for public in module.__all__:
            member = getattr(module, public)
            if inspect.isclass(member) and isinstance(getattr(member, "method", None), Method):
                found[snake(public)] = member
    return found


def find(name: str, *rooms: str) -> type:
    """Return the class registered as ``name``.

    Raises:
        ConfigurationError: no such method; the message suggests the nearest names.
    """
    classes = registered(*rooms)
    by_key = {_key(known): known for known in classes}
    if _key(name) not in by_key:
        hint = _elsewhere(name, rooms) or suggest(name, classes)
        raise ConfigurationError(f"unknown {' or '.join(rooms) or 'method'} {name!r}. {hint}")
    return classes[by_key[_key(name)]]


def _elsewhere(name: str, rooms: tuple[str, ...]) -> str:
    """Return a sentence about the method called ``name`` of a room other than ``rooms``, empty where there is none."""
    for room in ROOMS if rooms else ():
        for known in registered(room):
            if _key(known) == _key(name):
                taken = f", for {TAKEN_BY[room]}" if room in TAKEN_BY else ""
                return f"It is a method of the room {room}{taken}: see accord methods {known}."
    return ""


def build(name: str, params: Mapping[str, Any] | None = None, *, rooms: tuple[str, ...] = (), place: str = "") -> Any:
    """Construct the method ``name`` with ``params`` as keyword arguments.

    Args:
        name: of a method in ``rooms``.
        params: its options.
        rooms: all when none is named.
        place: where people give these options, for messages, such as ``"sampling.options"``.

    Raises:
        ConfigurationError: no such method, or one that does not take an option, or lacks one; they are named.
    """
    cls = find(name, *rooms)
    check_params(cls, params or {})
    if lacking := [option for option in required(cls) if option not in (params or {})]:
        raise MissingOptionError(snake(cls.__name__), lacking, place)
    return cls(**(params or {}))


def required(cls: type) -> list[str]:
    """Return the options of a method that have no default."""
    parameters = inspect.signature(cls).parameters.values()
    named = [each for each in parameters if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    return [each.name for each in named if each.default is each.empty]


def check_params(cls: type, params: Mapping[str, Any]) -> None:
    """Raise a :class:`ConfigurationError` that names the first parameter the constructor does not take."""
    known = [p for p in inspect.signature(cls).parameters if p != "self"]
    for key in params:
        if key not in known:
            hint = suggest(key, known) if known else "It takes no options."
            raise ConfigurationError(f"{snake(cls.__name__)} has no option {key!r}. {hint}")
