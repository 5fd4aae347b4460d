"""A front for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from accord.reporting.front.read import FrontShown, Shown, read_front, value_text
from accord.reporting.run import sequence
from accord.reporting.verdict import printable


def front_text(found: Mapping[str, Any]) -> str:
    """Return one line per point and baseline with the primary metrics, the paragraph, and warnings.

    Args:
        found: the content of ``front.json``.
    """
    front = read_front(found)
    names = [printable(task.name) for task in front.tasks]
    head = ["preference", *(f"{name} {task.metric.label}" for name, task in zip(names, front.tasks, strict=True))]
    rows = [[_preference(point), *_figures(front, point)] for point in front.points]
    rows += [[printable(one.name), *_figures(front, one)] for one in front.baselines]
    blocks = [_aligned([head, *rows]), [_filled(str(found.get("paragraph") or ""))]]
    blocks.append([_filled(f"Warning: {warning}") for warning in sequence(found.get("warnings"))])
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _preference(point: Shown) -> str:
    return " ".join(f"{share:.2f}" for share in point.preference)


def _figures(front: FrontShown, one: Shown) -> list[str]:
    return [value_text(one.metric(task)) for task in front.tasks]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return [f"  {line.rstrip()}" for line in lines]


def _filled(text: str) -> str:
    return textwrap.fill(printable(text), 96, break_long_words=False, break_on_hyphens=False)
