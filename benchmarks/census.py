"""Census-Income as the benchmarks use it: one Parquet file with the fixed parts, which columns are what, the labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

PART = "part"
TARGETS = ("income", "marital_stat")
POSITIVE = ("50000+.", "Never married")
# The seven that the MMoE paper's followers treat as numbers; every other feature is a category.
NUMERIC = (
    "age",
    "wage_per_hour",
    "capital_gains",
    "capital_losses",
    "dividends_from_stocks",
    "num_persons_worked_for_employer",
    "weeks_worked_in_year",
)
VALIDATION = 0.1
SPLIT_SEED = 0


def write(folder: Path) -> Path:
    """Write the shipped data set without its instance weight, and with a column that says each row's part.

    The test rows are those of the original split; of its training rows, a fixed tenth is for validation.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from accord.data import datasets

    source = datasets.download("census-income")
    train, test = (pq.read_table(source / name) for name in ("train.parquet", "test.parquet"))
    order = np.random.default_rng(SPLIT_SEED).permutation(len(train))
    part = np.full(len(train), "train", dtype=object)
    part[order[: round(len(train) * VALIDATION)]] = "validation"
    parts = [*part, *["test"] * len(test)]
    whole = pa.concat_tables([train, test]).unify_dictionaries().drop_columns(["instance_weight"])
    path = folder / "census-income.parquet"
    pq.write_table(whole.append_column(PART, pa.array(parts)), path)
    return path


def part_rows(table: Path, part: str) -> int:
    """Return how many rows of the file are in ``part``."""
    import pyarrow.parquet as pq

    return pq.read_table(table, columns=[PART], filters=[(PART, "=", part)]).num_rows


def labels(frame: pd.DataFrame) -> np.ndarray:
    """Return ``[N, 2]`` float32: earns more than 50,000; has never married."""
    columns = [frame[name] == value for name, value in zip(TARGETS, POSITIVE, strict=True)]
    return np.stack(columns, axis=1).astype(np.float32)


def test_labels(table: Path) -> np.ndarray:
    """Return :func:`labels` of the test rows."""
    import pandas as pd

    frame = pd.read_parquet(table, columns=[*TARGETS, PART])
    return labels(frame.loc[frame[PART] == "test", :])
