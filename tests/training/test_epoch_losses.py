"""Balancers are told the losses of every epoch, and resume in the middle of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.training.tables import make_table, only

import accord
from accord.balancer import Balancer
from accord.data import read_parquet
from accord.errors import ConfigurationError
from accord.training.problem import Problem
from accord.weighting import GradientBlend, GradNorm

OPTIONS = {"batch_size": 64, "resamples": 20, "patience": 0, "baselines": False}


def test_gradient_blend_sees_what_the_history_says(tmp_path: Path) -> None:
    table = only(make_table(), "bought", "price")
    options = {**OPTIONS, "epochs": 4}
    model = accord.fit(table, targets=["bought", "price"], balancing="gradient_blend", out=tmp_path / "r", **options)
    history = read_parquet(model.directory / "history.parquet")
    rows = {name: history[name] for name in ("phase", "name", "task", "step", "value")}

    def values(phase: str, name: str, task: str) -> tuple[np.ndarray, np.ndarray]:
        chosen = (rows["phase"] == phase) & (rows["name"] == name) & (rows["task"] == task)
        return rows["step"][chosen], rows["value"][chosen].astype(float)

    ends = values("validation", "loss", "bought")[0]
    blend = GradientBlend()
    for place, end in enumerate(ends):
        begin = ends[place - 1] if place else 0
        losses = []
        for task in ("bought", "price"):
            steps, train = values("train", "loss", task)
            spans = np.diff(np.concatenate([[0], steps]))  # a logged loss is the mean since the one before
            inside = (steps > begin) & (steps <= end)
            losses.append(
                [train[inside] @ spans[inside] / spans[inside].sum(), values("validation", "loss", task)[1][place]]
            )
            used, weights = values("train", "weight", task)
            expected = blend(torch.ones(2, dtype=torch.float64))[len(losses) - 1]
            assert weights[(used > begin) & (used <= end)] == pytest.approx(float(expected), rel=1e-4)
        pairs = torch.tensor(losses, dtype=torch.float64)
        blend.end_epoch(train=pairs[:, 0], validation=pairs[:, 1])
    assert not torch.equal(blend(torch.ones(2)), torch.full((2,), 0.5))


@pytest.mark.parametrize(
    ("balancing", "options"),
    [
        ("co_ba", {"warmup": 2, "history": 3}),
        ("focal_task", {}),
        ("famo", {"learn_from": "validation"}),
        ("scheduled", {"schedule": [[0, [1, 1]], [20, [1, 0]]]}),
    ],
)
def test_others_that_listen_change_their_weights(balancing: str, options: dict, tmp_path: Path) -> None:
    table = only(make_table(), "bought", "price")
    spec = {**OPTIONS, "epochs": 4, "balancing": balancing, "balancing_options": options}
    model = accord.fit(table, targets=["bought", "price"], out=tmp_path / "r", **spec)
    history = read_parquet(model.directory / "history.parquet")
    weights = history["value"][history["name"] == "weight"]
    assert len(np.unique(weights.round(9))) > 2


@pytest.mark.parametrize("balancing", ["auto_lambda", "forum"])
def test_a_balancer_that_looks_ahead_is_shown_two_halves(balancing: str, tmp_path: Path) -> None:
    table = only(make_table(), "bought", "price")
    spec = {**OPTIONS, "epochs": 2, "balancing": balancing, "balancing_options": {"lr": 0.05}}
    model = accord.fit(table, targets=["bought", "price"], out=tmp_path / "r", **spec)
    history = read_parquet(model.directory / "history.parquet")
    weights = history["value"][history["name"] == "weight"]
    assert len(np.unique(weights.round(9))) > 2 and np.isfinite(weights).all() and weights.min() >= 0


def test_a_missing_option_is_named(tmp_path: Path) -> None:
    table = only(make_table(), "bought", "price")
    with pytest.raises(ConfigurationError, match=r"needs the option 'sizes', .* set balancing\.options\.sizes$"):
        accord.fit(
            table, targets=["bought", "price"], balancing="evidence_weighting", out=tmp_path / "r", **OPTIONS, epochs=1
        )


def test_grad_norm_measures_at_the_last_shared_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[list[int], list[int]]] = []
    measure = Problem.gramian_at

    def watched(problem: Problem, balancer: Balancer) -> object:
        at = measure(problem, balancer)
        if isinstance(balancer, GradNorm):
            last = [id(parameter) for parameter in problem.model.last_shared_parameters()]
            seen.append(([id(parameter) for parameter in at or ()], last))
        return at

    monkeypatch.setattr(Problem, "gramian_at", watched)
    table = only(make_table(), "bought", "price")
    accord.fit(table, targets=["bought", "price"], balancing="grad_norm", out=tmp_path / "r", **OPTIONS, epochs=1)
    assert seen and all(at == last and at for at, last in seen)
