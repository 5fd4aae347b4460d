"""Whether a value of a recipe is of the kind that an option of Accord's own methods takes."""

from __future__ import annotations

import types
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from accord.errors import ConfigurationError

WORDS = {float: "a number", int: "a whole number", bool: "true or false", str: "a text", types.NoneType: "nothing"}


def check_kinds(cls: type, options: dict[str, Any]) -> None:
    """Raise a :class:`ConfigurationError` that names an option of ``cls`` whose value is of another kind."""
    hints = get_type_hints(cls.__init__)
    for name, value in options.items():
        kinds = list(_alternatives(hints.get(name, Any)))
        if not any(_fits(value, kind) for kind in kinds):
            told = " or ".join(dict.fromkeys(map(_told, kinds)))
            raise ConfigurationError(f"{name} of {cls.__name__} is {told}; got {value!r}")


def _alternatives(hint: Any) -> Iterator[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        for part in get_args(hint):
            yield from _alternatives(part)
    elif get_origin(hint) is Literal:
        yield str  # which texts there are, the method says itself
    else:
        yield hint


def _fits(value: Any, kind: Any) -> bool:
    if get_origin(kind) in (Sequence, list, tuple):
        inner = list(_alternatives(get_args(kind)[0]))
        return isinstance(value, list | tuple) and all(any(_fits(entry, each) for each in inner) for entry in value)
    if kind in (float, int):
        return isinstance(value, (int, float) if kind is float else int) and not isinstance(value, bool)
    return isinstance(value, kind) if kind in WORDS else True


def _told(kind: Any) -> str:
    if get_origin(kind) in (Sequence, list, tuple):
        inner = " or ".join(dict.fromkeys(map(_told, _alternatives(get_args(kind)[0]))))
        return f"a list (each {inner})"
    return WORDS.get(kind, str(kind))
