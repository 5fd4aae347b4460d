"""Data sets by name."""

from __future__ import annotations

from accord.data.table import Table

DATASETS: dict[str, object] = {}


def load(name: str, *, missing: frozenset[str]) -> Table:
    """Return a data set."""
    raise KeyError(name, missing)
