"""Read what a recipe says about the vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accord.errors import ConfigurationError, suggest
from accord.merging.recipe.reference import Reference, parse_reference
from accord.merging.recipe.schema import Tokenizer, TokenSource

KEYS = ("source", "tokens", "pad_to_multiple_of", "tensors")
KINDS = ("zero", "model_token")


def parse_tokenizer(value: Any) -> Tokenizer:
    """Return the ``tokenizer`` section of a recipe.

    Raises:
        ConfigurationError: it has an unknown key, or a value that makes no sense.
    """
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"tokenizer is a mapping with a source; got {value!r}")
    _known(value, KEYS, "tokenizer")
    multiple = value.get("pad_to_multiple_of")
    if multiple is not None and (type(multiple) is not int or multiple < 1):
        raise ConfigurationError(f"tokenizer: pad_to_multiple_of is a whole number of 1 or more; got {multiple!r}")
    tokens = value.get("tokens") or {}
    if not isinstance(tokens, Mapping):
        raise ConfigurationError(f"tokenizer: tokens maps tokens to what they are made of; got {tokens!r}")
    return Tokenizer(
        source=_source(value.get("source", "union")),
        tokens={str(token): _token(str(token), entry) for token, entry in tokens.items()},
        multiple=multiple,
        tensors=tuple(map(str, value.get("tensors") or ())),
    )


def _source(value: Any) -> Any:
    if value in ("union", "base"):
        return value
    if isinstance(value, str) and value.startswith("model:"):
        value = value.removeprefix("model:")  # as older recipes have it
    return parse_reference(value, "tokenizer source")


def _token(token: str, entry: Any) -> TokenSource:
    where = f"tokenizer: token {token!r}"
    if isinstance(entry, str):
        return TokenSource(model=parse_reference(entry, where))
    if not isinstance(entry, Mapping):
        raise ConfigurationError(f"{where} is a mapping with a source; got {entry!r}")
    _known(entry, ("source", "force"), where)
    force, source = entry.get("force", False), entry.get("source")
    if not isinstance(force, bool):
        raise ConfigurationError(f"{where}: force is true or false; got {force!r}")
    if source is None:
        return TokenSource(force=force)
    if not isinstance(source, Mapping) or "kind" not in source:
        return TokenSource(model=parse_reference(source, where), force=force)
    if source["kind"] not in KINDS:
        raise ConfigurationError(f"{where}: unknown kind {source['kind']!r}. {suggest(str(source['kind']), KINDS)}")
    if source["kind"] == "zero":
        return TokenSource(zero=True, force=force)
    return _other_token(where, source, force)


def _other_token(where: str, source: Mapping[str, Any], force: bool) -> TokenSource:
    _known(source, ("kind", "model", "token", "token_id"), where)
    name, row = source.get("token"), source.get("token_id")
    if (name is None) == (row is None):
        raise ConfigurationError(f"{where}: model_token takes either a token or a token_id")
    if row is not None and (type(row) is not int or row < 0):
        raise ConfigurationError(f"{where}: token_id is the number of a row; got {row!r}")
    model: Reference = parse_reference(source.get("model"), where)
    return TokenSource(model=model, token=None if name is None else str(name), row=row, force=force)


def _known(value: Mapping[Any, Any], keys: tuple[str, ...], where: str) -> None:
    for key in value:
        if key not in keys:
            raise ConfigurationError(f"{where} has no key {key!r}. {suggest(str(key), keys)}")
