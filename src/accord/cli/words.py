"""Words on the command line that are lists, settings or places."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from accord.errors import ConfigurationError


def split_names(words: Iterable[str] | None) -> list[str]:
    """Return the names in ``a,b`` and in repetitions of an option, in order, without empty ones."""
    return [name for word in words or () for part in word.split(",") if (name := part.strip())]


def parse_settings(words: Iterable[str] | None, option: str = "--set") -> dict[str, Any]:
    """Return ``{key: value}`` of ``key=value`` words; values are read as YAML, so numbers, lists and null work.

    Raises:
        ConfigurationError: a word without ``=`` or key, or a value that is not YAML.
    """
    settings: dict[str, Any] = {}
    for word in words or ():
        key, sign, value = word.partition("=")
        if not sign or not key.strip():
            raise ConfigurationError(f"{option} {word!r} is not of the form key=value")
        try:
            settings[key.strip()] = yaml.safe_load(value) if value else ""
        except yaml.YAMLError as error:
            raise ConfigurationError(f"{option} {word!r}: the value is not valid YAML ({error})") from error
    return settings


def parse_size(word: str, option: str) -> int:
    """Return the bytes of ``600MB``, ``2GB`` or ``1.5 GiB``; a bare number is one of megabytes.

    Raises:
        ConfigurationError: it is no size.
    """
    units = {"": 10**6, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 1 << 20, "GIB": 1 << 30}
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", word.strip())
    if found is None or found[2].upper() not in units or not 0 < float(found[1]) < float("inf"):
        raise ConfigurationError(f"{option} {word!r} is no size; write 600MB or 2GB")
    return int(float(found[1]) * units[found[2].upper()])


def free_directory(source: str, parent: Path = Path("runs")) -> Path:
    """Return ``runs/<name of the source>``, with a number behind it when that is taken."""
    stem = Path(source).stem
    if not re.fullmatch(r"\w[\w.-]*", stem):  # a query, a glob or an address
        stem = "run"
    candidate, number = parent / stem, 2
    while candidate.exists():
        candidate, number = parent / f"{stem}-{number}", number + 1
    return candidate
