"""Text in pictures has no line breaking, so its width is estimated and its places are chosen here."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_NARROW, _WIDE = frozenset("iljt.,:;|!'()[] f"), frozenset("mwMW@%")


def width(text: str, size: float = 12) -> float:
    """Return roughly how wide ``text`` is in a sans-serif face of ``size`` (an upper guess, in the same unit)."""
    return size * sum(_advance(character) for character in text)


def shorten(text: str, room: float, size: float = 12) -> str:
    """Return ``text``, cut with an ellipsis where it is wider than ``room``."""
    if width(text, size) <= room:
        return text
    room -= width("…", size)
    kept = 0
    for character in text:
        room -= width(character, size)
        if room < 0:
            break
        kept += 1
    return text[:kept].rstrip() + "…"


def spread(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Move labels ``gap`` apart; they keep their order and stay in ``[low, high]`` if they fit.

    Each ends as near to where it wanted to be as its neighbours allow: overlapping groups merge and share the shift.
    """
    span = (places, gap, low, high)
    groups: list[list[int]] = []
    for index in sorted(range(len(places)), key=lambda i: places[i]):
        groups.append([index])
        while len(groups) > 1 and _start(groups[-1], *span) - _start(groups[-2], *span) < gap * len(groups[-2]):
            last = groups.pop()
            groups[-1] = groups[-1] + last
    result = [0.0] * len(places)
    for group in groups:
        for rank, index in enumerate(group):
            result[index] = _start(group, *span) + gap * rank
    return result


def _start(group: list[int], places: Sequence[float], gap: float, low: float, high: float) -> float:
    length = gap * (len(group) - 1)
    centred = sum(places[i] for i in group) / len(group) - length / 2
    return max(min(centred, high - length), low)


def _advance(character: str) -> float:
    if unicodedata.combining(character):
        return 0.0
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    if character in _NARROW:
        return 0.34
    return 0.88 if character in _WIDE else 0.58
