"""Accord, through ``accord.fit``: reading, inference of the schema, leakage check and encoding are all its own."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import census
import numpy as np
import torch

from contenders.contract import EMBEDDING, EXPERT_WIDTH, EXPERTS, LEARNING_RATE, TOWER_WIDTH, Contender, Laps, Settings

if TYPE_CHECKING:
    import accord

NAMES = ("income", "never_married")
# Categories that are stored as whole numbers.
CODES = (
    "detailed_industry_recode",
    "detailed_occupation_recode",
    "own_business_or_self_employed",
    "veterans_benefits",
    "year",
)


class Watch:
    """Turns the news of a run into laps."""

    def __init__(self, laps: Laps, epochs: int) -> None:
        self.laps, self.epochs = laps, epochs

    def plan(self, rows: int, label: str) -> None: ...

    def begin(self, label: str, rows: int) -> None:  # noqa: ARG002
        self.left = self.per_epoch = rows // self.epochs
        self.laps.begin()

    def advance(self, rows: int, losses: Mapping[str, float], rows_per_second: float) -> None:  # noqa: ARG002
        self.left -= rows
        if not self.left:
            self.laps.end()
            self.left = self.per_epoch

    def evaluated(self, epoch: int, metrics: Mapping[str, float]) -> None:  # noqa: ARG002
        if len(self.laps.wall) < self.epochs:
            self.laps.begin()

    def end(self, skipped_rows: int) -> None: ...

    def say(self, message: str) -> None: ...


class Accord(Contender):
    """See the module."""

    name = "accord"
    distribution = "accord"

    def prepare(self, table: Path) -> None:
        self.table = table

    def train(self, settings: Settings, laps: Laps) -> None:
        import accord

        tasks = [
            accord.Task(name, "binary", columns=(column,), positive=positive)
            for name, column, positive in zip(NAMES, census.TARGETS, census.POSITIVE, strict=True)
        ]
        self.model: accord.Model = accord.fit(
            str(self.table),
            tasks,
            out=Path(tempfile.mkdtemp(prefix="accord-benchmark-")) / "run",
            sharing="mmoe",
            sharing_options={"experts": EXPERTS, "hidden": EXPERT_WIDTH},
            tower=[TOWER_WIDTH],
            stem={"categorical_dim": EMBEDDING, "numeric": "identity"},
            split="given",
            split_column=census.PART,
            batch_size=settings.batch,
            epochs=settings.epochs,
            learning_rate=LEARNING_RATE,
            # The peers train with a constant rate and without clipping.
            schedule="constant",
            warmup=0.0,
            clip_norm=0.0,
            patience=0,
            baselines=False,
            seed=settings.seed,
            threads=torch.get_num_threads(),
            columns=dict.fromkeys(census.NUMERIC, "numeric") | dict.fromkeys(CODES, "categorical"),
            progress=Watch(laps, settings.epochs),
        )

    def predict(self) -> np.ndarray:
        import pyarrow.parquet as pq

        found = self.model.predict(pq.read_table(self.table, filters=[(census.PART, "=", "test")]))
        columns = [f"{name}={value}" for name, value in zip(NAMES, census.POSITIVE, strict=True)]
        return np.stack([found[name] for name in columns], axis=1)
