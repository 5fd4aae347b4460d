"""The lines of ``engines.py`` as Markdown tables: processor time relative to a plain step, and peak memory."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any


def tables(lines: Iterable[str]) -> str:
    """Return one table per model and kind of inputs; a later line replaces an earlier one of the same cell."""
    grid: dict[tuple[str, str], dict[str, dict[int, dict[str, Any]]]] = defaultdict(lambda: defaultdict(dict))
    for line in map(json.loads, lines):
        grid[line["model"], line["inputs"]][line["engine"]][line["tasks"]] = line
    return "\n\n".join(_table(model, inputs, rows) for (model, inputs), rows in grid.items())


def _table(model: str, inputs: str, rows: dict[str, dict[int, dict[str, Any]]]) -> str:
    counts = sorted({tasks for row in rows.values() for tasks in row})
    head = [f"{model}, {inputs} inputs", *(f"T = {tasks}" for tasks in counts), f"peak MiB, T = {counts[-1]}"]
    if inputs == "shared":
        rows = {"1.1 x T trunk backwards": {t: {"cpu_ratio": 1.1 * (1 + 2 * t) / 3} for t in counts}, **rows}
    body = [
        [engine, *(_cell(row.get(tasks)) for tasks in counts), _peak(row, counts[-1])] for engine, row in rows.items()
    ]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *body])


def _cell(line: dict[str, Any] | None) -> str:
    if line is None:
        return "-"
    error = f" ({line['weights_error']:.1%})" if "weights_error" in line else ""
    return f"{line['cpu_ratio']:.2f}{error}"


def _peak(row: dict[int, dict[str, Any]], tasks: int) -> str:
    return f"{row[tasks]['peak_mb']:,}" if "peak_mb" in row.get(tasks, {}) else "-"
