"""Results on standard output: JSON for programs, tables for people. Everything else goes to standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

INTERRUPTED = 130  # what shells expect of a command that Ctrl-C ended


def interrupted(kept: str, out: Path, verb: str) -> int:
    """Say that a person stopped ``verb``, what is kept in ``out`` and how to go on; return the exit code."""
    print(f"accord: interrupted; {kept} in {out}. Go on with: accord {verb} {out} --resume", file=sys.stderr)
    return INTERRUPTED


def print_json(value: Any) -> None:
    """Print one JSON document, and nothing but it."""
    print(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False))


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table that folds long cells on a terminal and keeps one line per row in a pipe."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    rows = list(rows)
    if not console.is_terminal:
        widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
        for row in [header, *rows]:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    table = Table(*header, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        # Text that people or files wrote may look like markup.
        table.add_row(*(_literal(cell) for cell in row))
    console.print(table)


def _literal(cell: str) -> Any:
    from rich.text import Text

    return Text(cell)


def format_seconds(seconds: float) -> str:
    """Return ``48 s``, ``2:05 min`` or ``1:02:05 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d} h"
