"""Small tables as people have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest


@pytest.fixture
def people() -> pa.Table:
    """Forty rows with a number, a category with missing values, a truth, a date and a text."""
    rng = np.random.default_rng(0)
    n = 40
    colours = [None if i % 7 == 0 else ["red", "green", "blue"][i % 3] for i in range(n)]
    return pa.table(
        {
            "income": np.round(rng.lognormal(10, 1, n), 2),
            "colour": pa.array(colours),
            "member": pa.array([bool(i % 2) for i in range(n)]),
            "since": pa.array(np.datetime64("2020-01-01") + np.arange(n) * 11),
            "clicked": pa.array([i % 5 == 0 for i in range(n)]),
        }
    )


@pytest.fixture
def people_parquet(people: pa.Table, tmp_path: Path) -> Path:
    path = tmp_path / "people.parquet"
    pq.write_table(people, path)
    return path
