"""How many cells are infinite, so that taking them as missing does not pass unnoticed."""

from __future__ import annotations

from collections import Counter

import numpy as np

from accord.data.schema import Schema
from accord.data.table import Table, cells


def count_infinite(table: Table, schema: Schema) -> dict[str, int]:
    """Return the number of infinite cells of each numeric feature that has some, in one pass."""
    names = [column.name for column in schema.features if column.kind == "numeric"]
    found: Counter[str] = Counter()
    for start, batch in table.enumerate_batches(names) if names else ():
        for name in names:
            found[name] += int(np.isinf(cells(batch, name, "numbers", start, table)).sum())
    return {name: count for name, count in found.items() if count}
