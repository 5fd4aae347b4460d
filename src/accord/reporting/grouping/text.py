"""The answer of a grouping for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import Any

from accord.reporting.comparison.read import LOOKS
from accord.reporting.grouping.read import gaps_of, groups_of
from accord.reporting.numbers import general
from accord.reporting.run import sequence
from accord.reporting.verdict import PLAIN, printable


def grouping_text(found: Mapping[str, Any]) -> str:
    """Return the groups, how far they are ahead where that was measured, the paragraph, and warnings.

    Args:
        found: the content of ``group.json``.
    """
    lines = []
    for group in groups_of(found):
        helpers = [name for name in group.tasks if name not in group.serves]
        aside = f" (with {', '.join(helpers)} to help)" if helpers else ""
        said = f"  {group.number}  {', '.join(group.serves)}{aside}; predicted {general(group.predicted)}"
        lines.append(_filled(said, indent="     "))
    against = []
    for gap in gaps_of(found):
        mark = PLAIN[LOOKS.get(gap.outcome, "unclear")]  # type: ignore[index]
        against.append(f"  {mark} to {gap.name}: {gap.size.text()} points of delta-m, {gap.outcome}")
    blocks = [lines, against, [_filled(str(found.get("paragraph") or ""))]]
    blocks.append([_filled(f"Warning: {warning}") for warning in sequence(found.get("warnings"))])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _filled(text: str, indent: str = "") -> str:
    return textwrap.fill(printable(text), 96, break_long_words=False, break_on_hyphens=False, subsequent_indent=indent)
