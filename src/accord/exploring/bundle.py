"""The page's modules as one script.

The modules are plain ones, each with one idea; but a browser loads no module into a file that was opened from disk,
and one request is quicker than twenty. So each becomes a function that returns what it exports, after those that it
imports from.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

# The only two forms in use, each on a line of its own, so that no parser is needed.
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "\./([a-z]+)\.js";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function (\w+))", re.MULTILINE)


def asset(name: str) -> str:
    """Return the text of a file of the page."""
    return resources.files("accord.exploring").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def script(main: str = "main") -> str:
    """Return the module ``main`` and all that it imports as one script."""
    linked: dict[str, str] = {}
    _link(main, linked, ())
    return "".join(linked.values())


def _link(name: str, linked: dict[str, str], above: tuple[str, ...]) -> None:
    if name in above:
        raise ValueError(f"modules import each other: {' → '.join((*above, name))}")
    if name in linked:
        return
    text = asset(f"{name}.js")
    for _, needed in _IMPORT.findall(text):
        _link(needed, linked, (*above, name))
    exported = ", ".join(_EXPORT.findall(text))
    body = _EXPORT.sub("", _IMPORT.sub(r"const \1 = module_\2;", text))
    linked[name] = f"const module_{name} = (() => {{\n{body}return {{ {exported} }};\n}})();\n"
