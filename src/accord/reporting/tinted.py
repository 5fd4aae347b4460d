"""YAML with its parts told apart, for reading; what cannot be recognised stays plain text."""

from __future__ import annotations

import re

from accord.reporting.html import Markup, el, join

_LINE = re.compile(
    r"^(?P<indent>\s*(?:- )*)(?:(?P<key>[^\s:#'\"][^:#]*?|'[^']*'|\"[^\"]*\")(?P<colon>:)(?=\s|$))?(?P<value>.*)$"
)
_COMMENT = re.compile(r"(?:^|\s)#.*$")
_ATOM = re.compile(r"^[-+]?(\d[\d_]*\.?\d*([eE][-+]?\d+)?|\.inf|\.nan)$|^(true|false|null|~)$", re.IGNORECASE)


def tinted_yaml(text: str) -> Markup:
    """Return ``text`` escaped, with keys, numbers, words and comments marked; its characters are unchanged."""
    return join([join(_line(line)) for line in text.splitlines()], "\n")


def _line(line: str) -> list[object]:
    match = _LINE.match(line)
    if match is None:
        return [line]
    key, value = match["key"], match["value"]
    found = _COMMENT.search(value) if "'" not in value and '"' not in value else None
    comment = value[found.start() :] if found else ""
    value = value[: len(value) - len(comment)]
    return [
        match["indent"],
        [el("span", key, class_="y-key"), match["colon"]] if key else None,
        _value(value),
        el("span", comment, class_="y-comment") if comment else None,
    ]


def _value(text: str) -> object:
    bare = text.strip()
    if not bare:
        return text
    start = text.index(bare)
    kind = "y-atom" if _ATOM.match(bare) else "y-text"
    return [text[:start], el("span", bare, class_=kind), text[start + len(bare) :]]
