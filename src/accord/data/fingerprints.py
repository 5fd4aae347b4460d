"""Whether a table is still the one that was seen before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accord.data.profile import profile
from accord.data.table import Table, sample_rows

ROWS = 4096


def fingerprint(table: Table) -> dict[str, Any]:
    """Return ``{"rows", "types", "sample"}`` of ``table`` as plain data for JSON, in one pass.

    ``sample`` has a digest per column of the same 4,096 rows every time, in their order. A change of few cells
    elsewhere goes unseen; rows that were added, removed, sorted or computed anew do not.
    """
    rows = sample_rows(table.num_rows, ROWS, seed=0)
    flat = [name for name in table.names if name not in table.nested]
    # Arrow cannot hold rows without columns.
    held = table.take(rows, flat).to_arrow() if flat else {}
    digests = {name: profile(name, held[name].combine_chunks(), table.missing).digest().hex() for name in flat}
    return {"rows": table.num_rows, "types": dict(table.types), "sample": digests}


def what_changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return what differs between two fingerprints in a few words, ``""`` when nothing does."""
    if before["rows"] != now["rows"]:
        return f"it has {now['rows']:,} rows and had {before['rows']:,}"
    gone = [name for name in before["types"] if name not in now["types"]]
    new = [name for name in now["types"] if name not in before["types"]]
    if gone or new:
        parts = [f"the column {name!r} is gone" for name in gone] + [f"the column {name!r} is new" for name in new]
        return " and ".join(parts[:3])
    for name, kind in now["types"].items():
        if before["types"][name] != kind:
            return f"column {name!r} holds {kind} and held {before['types'][name]}"
    changed = [name for name, digest in now["sample"].items() if before["sample"].get(name) != digest]
    if changed:
        listed = ", ".join(map(repr, changed[:5])) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        return f"the values of {listed} differ"
    return ""
