"""Claims by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from accord.errors import ConfigurationError, suggest

P = TypeVar("P")


def named(known: Mapping[str, P], claims: Iterable[str]) -> list[P]:
    """Return the properties in ``known`` that ``claims`` names.

    Raises:
        ConfigurationError: a claim is unknown.
    """
    chosen = list(claims)
    for claim in chosen:
        if claim not in known:
            raise ConfigurationError(f"no such claim as {claim!r}. {suggest(claim, known)}")
    return [known[claim] for claim in chosen]
