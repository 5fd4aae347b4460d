"""What the zoos found, line by line, and how numbers of several lines are said."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

LINES = Path(__file__).resolve().parent / "results.jsonl"
Line = Mapping[str, Any]


def read(path: Path = LINES) -> list[Line]:
    """Return all lines, the last one of each zoo, seed and method."""
    if not path.is_file():
        return []
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return list({(line["zoo"], line["seed"], line["method"]): line for line in lines}.values())


def kinds(lines: Sequence[Line]) -> list[str]:
    """Return the zoos there are, in the order of their first lines."""
    return list(dict.fromkeys(line["zoo"] for line in lines))


def judged(line: Line) -> Mapping[str, float]:
    """Return the test accuracies of the tuned method, or of the defaults where nothing is chosen."""
    return line.get("tuned", line["default"])


def spread(values: Sequence[float], *, alone: bool = False) -> str:
    """Return the mean, with the standard deviation over seeds where there are several."""
    mean = f"{statistics.fmean(values):.1f}"
    return mean if alone or len(values) < 2 else f"{mean} ± {statistics.stdev(values):.1f}"


def count(number: int, noun: str) -> str:
    """Return a number with its noun."""
    return f"{number} {noun}{'s' if number != 1 else ''}"


def row(cells: Sequence[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
