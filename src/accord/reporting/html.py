"""Build HTML and SVG from values: all that is not :class:`Markup` is escaped, so user text cannot become code."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

VOID = frozenset({"meta", "link", "br", "hr", "input", "col"})
# Characters that HTML forbids even as references; a column name may hold any of them.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")


class Markup(str):
    """Text that is already HTML. Only this module and constants of our own make it."""

    __slots__ = ()


def escape(value: object) -> Markup:
    """Return ``value`` as text that is inert inside elements and quoted attributes and can be written as UTF-8."""
    text = _FORBIDDEN.sub("\ufffd", str(value)).encode("utf-8", "replace").decode("utf-8")
    return Markup(html.escape(text, quote=True))


def el(tag: str, /, *children: object, **attributes: object) -> Markup:
    """Return one element.

    Args:
        tag: its name, one of ours (never user text).
        children: text, numbers, markup, or iterables of these; ``None`` is skipped.
        attributes: ``class_`` and ``for_`` lose the underscore, other underscores become hyphens. ``None`` and
            ``False`` are left out, ``True`` stands alone, floats are rounded to two decimals.
    """
    opening = f"<{tag}{''.join(_attribute(name, value) for name, value in attributes.items())}>"
    return Markup(opening) if tag in VOID else Markup(f"{opening}{join(children)}</{tag}>")


def join(children: Iterable[object], separator: str = "") -> Markup:
    """Return children one after the other, escaped where they are not markup."""
    return Markup(separator.join(_flat(children)))


def bdi(name: object) -> Markup:
    """Return a user's name, isolated so that right-to-left characters in it cannot reorder what stands around it."""
    return el("bdi", name)


def _flat(children: Iterable[object]) -> Iterable[str]:
    for child in children:
        if child is None or child is False:
            continue
        if isinstance(child, Markup):
            yield child
        elif isinstance(child, Iterable) and not isinstance(child, str):
            yield from _flat(child)
        else:
            yield escape(child)


def _attribute(name: str, value: object) -> str:
    if value is None or value is False:
        return ""
    key = name.rstrip("_").replace("_", "-")
    if value is True:
        return f" {key}"
    text = f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else value
    # Attributes are always quoted, so text that is markup elsewhere is escaped here too.
    return f' {key}="{escape(text)}"'
