"""Specifications with a section of their own beside that of a run, such as ``compare`` or ``front``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accord.errors import ConfigurationError
from accord.training.spec import Spec
from accord.training.strict import encode, read_yaml, to_yaml


def read_section(path: str | Path, section: str) -> tuple[Spec, dict[str, Any]]:
    """Read a YAML file; return the specification of a run and the mapping under ``section``, empty if it is not there.

    Raises:
        ConfigurationError: no such file, not YAML, or something is missing, unknown or out of range; names the file.
    """
    data = read_yaml(path)
    if not isinstance(data, Mapping):
        raise ConfigurationError(f"{path} must be a mapping of options, not {data!r}")
    own = data.get(section) or {}
    if not isinstance(own, Mapping):
        raise ConfigurationError(f"{path}: {section} must be a mapping of options, not {own!r}")
    try:
        return Spec.from_dict({key: value for key, value in data.items() if key != section}), dict(own)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {error}") from error


def section_yaml(spec: Spec, section: str, options: Any) -> str:
    """Return both as :func:`read_section` reads them, defaults included; ``options`` is a dataclass."""
    return to_yaml({section: options, **encode(spec)})
