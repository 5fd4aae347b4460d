"""``accord predict``: a run applied to another table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from accord.cli import runs

EXAMPLES = """\
Examples:
  accord predict runs/census-income people.parquet --out predictions.parquet
      One row per row of the table, in its order.
  accord predict runs/census-income people.csv --out - | head
      CSV on standard output.

The column TASK holds the most likely class or the number in its own unit.
TASK=CLASS holds the probability of a class; a binary task has one such column,
for the class that counts as positive. Columns the model was not trained on are
ignored; one that it needs and does not find is an error (exit code 3)."""

app = App(help_epilogue=EXAMPLES)


@app.default
def predict(
    run: Path,
    table: str,
    /,
    *,
    out: Annotated[str, Parameter(allow_leading_hyphen=True)],  # for "-"
    query: str | None = None,
) -> None:
    """Apply a run to another table.

    Args:
        run: a run directory.
        table: the rows to predict for; targets may be missing.
        out: where to write, .parquet or .csv; - is CSV on standard output.
        query: SQL that makes the table out of TABLE.
    """
    runs.predict(run, table, out, query)
