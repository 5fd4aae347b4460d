"""Frozen dataclasses from plain mappings and YAML: every unknown key and wrong type is an error that names its path."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml

from accord.documents import read_documents, read_text
from accord.errors import ConfigurationError, suggest

D = TypeVar("D")


def decode(cls: type[D], data: Any, path: str = "") -> D:
    """Build the dataclass ``cls`` from the mapping ``data``.

    Args:
        cls: a dataclass whose fields are scalars, ``Literal``, tuples, mappings, unions with None or dataclasses.
        data: as read from YAML or given on the command line.
        path: where ``data`` stands in the document, for messages.

    Raises:
        ConfigurationError: unknown key (with a suggestion), missing key, or a value of the wrong type.
    """
    if isinstance(data, cls):
        return data
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"{path or 'the specification'} must be a mapping of options, not {data!r}")
    hints = typing.get_type_hints(cls)
    fields = {f.name: f for f in dataclasses.fields(typing.cast(Any, cls))}
    for key in data:
        if key not in fields:
            raise ConfigurationError(f"unknown option {_join(path, key)!r}. {suggest(str(key), fields)}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in data:
            raise ConfigurationError(f"{_join(path, name)!r} is required")
    return cls(**{key: _value(hints[key], value, _join(path, key)) for key, value in data.items()})


def encode(value: Any) -> Any:
    """Return ``value`` as plain mappings, lists and scalars, ready for YAML or JSON; the inverse of :func:`decode`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: encode(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    return value


def read_yaml(path: str | Path) -> Any:
    """Return the one document of a YAML file, ``None`` if it is empty; see :func:`accord.documents.read_documents`.

    Raises:
        ConfigurationError: no such file, not YAML, a key that stands twice, or several documents.
    """
    found = read_documents(read_text(path, "specification"), str(path))
    if len(found) > 1:
        raise ConfigurationError(
            f"{path} holds {len(found)} documents; a specification is one: take out the lines `---`"
        )
    return found[0] if found else None


def to_yaml(value: Any) -> str:
    """Return a dataclass, or a mapping that holds some, as YAML in the order of its fields."""
    return yaml.safe_dump(encode(value), sort_keys=False, allow_unicode=True)


def _join(path: str, key: object) -> str:
    return f"{path}.{key}" if path else str(key)


def _value(hint: Any, value: Any, path: str) -> Any:
    origin = get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _union(get_args(hint), value, path)
    if origin is Literal:
        return _literal(get_args(hint), value, path)
    if origin is tuple:
        return _tuple(get_args(hint)[0], value, path)
    if origin in (dict, Mapping):
        return _mapping(value, path)
    if dataclasses.is_dataclass(hint):
        return decode(typing.cast(type, hint), value, path)
    return _scalar(hint, value, path)


def _union(options: Sequence[Any], value: Any, path: str) -> Any:
    if value is None and type(None) in options:
        return None
    failures: list[ConfigurationError] = []
    for option in options:
        try:
            return _value(option, value, path)
        except ConfigurationError as failure:
            failures.append(failure)
    raise failures[0]


def _literal(options: Sequence[Any], value: Any, path: str) -> Any:
    if value not in options:
        raise ConfigurationError(f"{path} cannot be {value!r}. {suggest(str(value), map(str, options))}")
    return value


def _tuple(item: Any, value: Any, path: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError(f"{path} must be a list, not {value!r}")
    return tuple(_value(item, entry, f"{path}[{i}]") for i, entry in enumerate(value))


def _mapping(value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{path} must be a mapping, not {value!r}")
    return {str(key): item for key, item in value.items()}


def _scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if hint is float and isinstance(value, str):
        return _float(value, path)  # YAML 1.1 reads 1e-3, which people write, as a string
    if isinstance(value, bool) is (hint is bool) and isinstance(value, hint):
        return value
    raise ConfigurationError(f"{path} must be {_words(hint)}, not {value!r}")


def _float(value: str, path: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigurationError(f"{path} must be a number, not {value!r}") from None


def _words(hint: Any) -> str:
    return {int: "a whole number", float: "a number", bool: "true or false", str: "text"}.get(hint, str(hint))
