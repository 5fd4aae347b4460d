"""YAML that people write: plain data, no key twice, and every mistake with the file and the line it is in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from accord.errors import ConfigurationError

# Values of a document, aliases counted as often as they are used: a few lines of those can stand for more than fits.
MOST = 1_000_000


def read_text(path: str | Path, what: str) -> str:
    """Return the text of a file that somebody named; ``~`` is their home.

    Args:
        path: where it is.
        what: what it should be, for messages, such as ``"recipe"``.

    Raises:
        ConfigurationError: there is no such file, or it cannot be read as text.
    """
    try:
        return Path(path).expanduser().read_text("utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"there is no {what} at {path}") from None
    except OSError as error:
        raise ConfigurationError(f"could not read the {what} {path}: {error.strerror or error}") from error
    except (ValueError, RuntimeError) as error:  # no UTF-8, a path that no system has, no such home
        raise ConfigurationError(f"could not read the {what} {str(path)!r}: {error}") from error


def read_documents(text: str, called: str) -> list[Any]:
    """Return the YAML documents of a text, as mappings, lists and scalars: no tag can construct an object.

    Args:
        text: any number of documents; an empty one is ``None``.
        called: what messages call it: the file, or "the recipe".

    Raises:
        ConfigurationError: it is not YAML, a mapping has a key twice, of which YAML would take the last without a
            word, or it is nested without end or beyond all measure.
    """
    try:
        loader = _Loader(text)
        loader.name = called
        found = []
        while loader.check_node():
            node = loader.get_node()
            _measure(node, {})
            found.append(loader.construct_document(node))
        return found
    except (yaml.YAMLError, ValueError) as error:  # a ValueError is of a date or number that cannot be
        raise ConfigurationError(f"{called} is no YAML that can be read: {error}") from error
    except RecursionError:
        raise ConfigurationError(f"{called} is nested too deeply to be read") from None


class _Loader(yaml.SafeLoader):
    pass


def _once(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key, _ in node.value:
        # Others than scalars cannot be keys, which construct_mapping says. One key has several spellings: 1, 0x1, 1.0.
        if key.tag == "tag:yaml.org,2002:merge" or not isinstance(key, yaml.ScalarNode):
            continue
        made = loader.construct_object(key)
        if made in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} stands twice", key.start_mark)
        seen.add(made)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _once)


def _measure(node: Any, sizes: dict[int, int]) -> int:
    """Return how many values a node stands for; ``sizes`` has those of finished nodes, and 0 for those above."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    known = sizes.get(id(node))
    if known == 0:
        raise ValueError(f"what begins in line {node.start_mark.line + 1} holds itself")
    if known is None:
        sizes[id(node)] = 0
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known = sizes[id(node)] = 1 + sum(_measure(part, sizes) for part in parts)
        if known > MOST:
            raise ValueError(f"its aliases make more than {MOST:,} values of it")
    return known
