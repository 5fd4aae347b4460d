"""Census-Income as the benchmarks use it: which columns are what, one fixed split, and the labels of the test rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

WEIGHT = "instance_weight"
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


@dataclass(frozen=True)
class Files:
    """The two Parquet files of the original split: 199,523 and 99,762 rows."""

    train: Path
    test: Path


def files_in(directory: Path) -> Files:
    """Return the files of ``directory``.

    Raises:
        FileNotFoundError: one of them is not there.
    """
    found = Files(directory / "census_income_train.parquet", directory / "census_income_test.parquet")
    for path in (found.train, found.test):
        if not path.is_file():
            raise FileNotFoundError(f"no {path.name} in {directory}: give the folder that holds it with --data")
    return found


def split_rows(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the training rows to train on, ``[n]``, and to validate on, ``[m]``; always the same."""
    order = np.random.default_rng(SPLIT_SEED).permutation(rows)
    held_out = round(rows * VALIDATION)
    return np.sort(order[held_out:]), np.sort(order[:held_out])


def labels(frame: pd.DataFrame) -> np.ndarray:
    """Return ``[N, 2]`` float32: earns more than 50,000; has never married."""
    columns = [frame[name] == value for name, value in zip(TARGETS, POSITIVE, strict=True)]
    return np.stack(columns, axis=1).astype(np.float32)


def test_labels(files: Files) -> np.ndarray:
    """Return :func:`labels` of the test file."""
    import pandas as pd

    return labels(pd.read_parquet(files.test, columns=list(TARGETS)))
