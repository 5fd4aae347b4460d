"""Small fronts made in seconds, for tests of what reads front directories."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from tests.training.tables import make_table, only

from accord.data import open_table
from accord.steering import FrontResult, parse_front, run_front
from accord.training import plan

BUDGET: dict[str, Any] = {
    "training.epochs": 2,
    "training.batch_size": 64,
    "training.learning_rate": 0.01,
    "training.device": "cpu",
    "model.options": {"width": 16, "depth": 1, "dropout": 0.0},
    "evaluation.resamples": 50,
}
OPTIONS: dict[str, dict[str, Any]] = {"pareto_hyper_network": {"hidden": [8]}}


def make_front(
    directory: Path,
    method: str = "cosmos",
    targets: tuple[str, ...] = ("bought", "price"),
    *,
    rows: int = 400,
    points: int = 0,
    options: dict[str, Any] | None = None,
) -> FrontResult:
    """Train a front of a made table (targets: bought, returned, price, visits, grade, colour) into ``directory``."""
    what = plan(only(make_table(rows), *targets), targets=targets, options={**BUDGET, **(options or {})})
    section = {"method": method, "points": points, "options": OPTIONS.get(method, {})}
    return run_front(what, parse_front(section), directory)


def make_census_front(directory: Path, method: str = "cosmos", *, rows: int = 2000) -> FrontResult:
    """Train a front of income, marital status and education for one epoch of some rows of Census-Income."""
    table = open_table("census-income")
    chosen = np.random.default_rng(0).permutation(len(table))[:rows]
    targets = ("income", "marital_stat", "education")
    what = plan(table.take(chosen).to_arrow(), targets=targets, options={**BUDGET, "training.epochs": 1})
    return run_front(what, parse_front({"method": method}), directory)
