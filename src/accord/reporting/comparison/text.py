"""The answer of a comparison for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from accord.reporting.comparison.read import LOOKS, contenders
from accord.reporting.run import sequence
from accord.reporting.verdict import PLAIN, printable


def comparison_text(found: Mapping[str, Any]) -> str:
    """Return one line per method, the best first, the paragraph, and warnings.

    Args:
        found: the content of ``compare.json``.
    """
    lines = []
    for one in contenders(found):
        gain = one.delta_m.text("%") if one.delta_m else "no delta-m"
        mark = " " if one.is_plain else PLAIN[LOOKS.get(one.outcome, "unclear")]  # type: ignore[index]
        gap = f"; to plain weights {one.gap.text()}, {one.outcome}" if one.gap else ""
        lines.append(f"  {mark} {printable(one.name)}: delta-m {gain}{gap}")
    blocks = [lines, [_filled(str(found.get("paragraph") or ""))]]
    blocks.append([_filled(f"Warning: {warning}") for warning in sequence(found.get("warnings"))])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _filled(text: str) -> str:
    return textwrap.fill(printable(text), 96, break_long_words=False, break_on_hyphens=False)
