"""A schema as a table for people."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

if TYPE_CHECKING:
    from accord.data.schema import Column, Schema

_RATIOS = {"column": 3, "examples": 3, "why": 4}
_STYLES = {"feature": "", "target": "bold", "dropped": "dim"}


def schema_table(schema: Schema) -> RichTable:
    """Return the schema as a rich table: targets first, then features, then what was dropped and why."""
    looked = "" if schema.rows_read == schema.rows else f", {schema.rows_read:,} of them read"
    table = RichTable(
        title=f"{len(schema.columns)} columns, {schema.rows:,} rows{looked}", title_justify="left", expand=True
    )
    for heading in ("column", "role", "kind", "missing", "distinct", "examples", "why"):
        side = "right" if heading in ("missing", "distinct") else "left"
        table.add_column(heading, justify=side, no_wrap=True, ratio=_RATIOS.get(heading))
    for column in (*schema.targets, *schema.features, *schema.dropped):
        table.add_row(*_cells(column), style=_STYLES[column.role])
    return table


def plain(schema: Schema, width: int = 140) -> str:
    """Return the table as text without colours."""
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(schema_table(schema))
    return out.getvalue()


def _cells(column: Column) -> list[Text]:
    share = f"{column.missing:.1%}" if column.missing else ""
    examples = ", ".join(value[:24] for value in column.examples)
    # Text, not str: cell values may contain what rich would take for markup.
    texts = (column.name, column.role, column.kind, share, f"{column.distinct:,}", examples, column.reason)
    return [Text(text) for text in texts]
