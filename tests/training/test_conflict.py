"""What a run's history says of conflict, by hand and in a whole run."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tests.training.tables import make_table, only

import accord
from accord.data import read_parquet
from accord.engines import Step
from accord.training import plan
from accord.training import run as run_plan
from accord.training.conflict import Conflict, layers_of
from accord.training.spec import Spec


def step(weights: list[float] | None) -> Step:
    given = None if weights is None else torch.tensor(weights)
    return Step(("a", "b", "c"), torch.ones(3), given, None, torch.ones(3, dtype=torch.bool), {})


def test_by_hand() -> None:
    inner = torch.tensor([[9.0, 0.0], [0.0, 16.0]], dtype=torch.float64)
    found = Conflict(("a", "c"), inner, {"trunk.0": torch.ones(2, 2)}).rows(step([0.4, 9.0, 0.3]), rate=0.1)
    assert {row[:1] + row[2:]: round(row[1], 6) for row in found} == {
        ("cosine", "a", "c"): 0.0,
        ("condition", "", ""): round(4 / 3, 6),
        ("cosine:trunk.0", "a", "c"): 1.0,
        ("dominance", "a", ""): round(3 / 7, 6),
        ("dominance", "c", ""): round(4 / 7, 6),
        ("effective_rate", "a", ""): round(0.1 / math.sqrt(2), 6),
        ("effective_rate", "c", ""): round(0.1 / math.sqrt(2), 6),
    }


def test_what_a_zero_gradient_cannot_tell_has_no_row() -> None:
    inner = torch.tensor([[4.0, 0.0], [0.0, 0.0]], dtype=torch.float64)
    found = [row[0] for row in Conflict(("a", "b"), inner, {}).rows(step(None), rate=0.1)]
    assert found == ["condition", "dominance", "dominance"]


def test_layers_are_the_modules_that_hold_parameters() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    found = layers_of(model, [model[2].weight, model[0].bias, model[0].weight])
    assert {name: [p.shape for p in part] for name, part in found.items()} == {"0": [(3, 2), (3,)], "2": [(1, 3)]}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    folder: Path = tmp_path_factory.mktemp("conflict")
    pq.write_table(pa.table(only(make_table(400), "bought", "price")), folder / "t.parquet")
    options = {"epochs": 2, "batch_size": 16, "resamples": 50, "patience": 0, "baselines": False}
    first = accord.fit(
        str(folder / "t.parquet"), targets=["bought", "price"], balancing="upgrad", out=folder / "a", **options
    )
    spec = Spec.from_yaml(first.directory / "spec.yaml")
    assert spec.balancing.conflict == "last"
    spec = replace(spec, balancing=replace(spec.balancing, conflict="layers"))
    again = run_plan(plan(spec=spec), folder / "b")
    accord.load(again.directory).report(folder / "report.html")  # which knows these names or ignores them
    return read_parquet(again.directory / "history.parquet")


def test_a_run_measures_layers_where_asked_to(history: dict[str, np.ndarray]) -> None:
    def of(name: str) -> np.ndarray:
        return history["value"][history["name"] == name]

    layers = {name for name in history["name"] if name.startswith("cosine:")}
    assert len(layers) > 1
    times = len(of("cosine"))
    assert times >= 2
    for name in layers:
        assert len(of(name)) <= times
        assert (np.abs(of(name)) <= 1 + 1e-6).all()
    assert (of("condition") >= 1).all()
    assert of("dominance").reshape(times, 2).sum(1) == pytest.approx(np.ones(times))
    rates = of("effective_rate").reshape(-1, 2).sum(1)
    assert len(rates) == times
    peak = history["value"][history["name"] == "learning_rate"].max()
    assert (rates > 0).all()
    assert (rates[:1] >= peak * 1e-3).all()
