"""Runs whose rows are drawn for tasks: who looks at which row, what counts how much, and stops that change nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.training.tables import make_table, only

import accord
from accord.data import read_parquet
from accord.errors import ConfigurationError, DataError
from accord.training import History, Silent, plan, run
from accord.training.feed import Rows, values
from accord.training.interrupt import Stop
from accord.training.loop import Trainer
from accord.training.member import Context, make_trainer
from accord.training.prepare import prepare
from accord.training.sampled import Sampled

FAST = {
    "training.epochs": 2,
    "training.batch_size": 32,
    "training.patience": 0,
    "evaluation.resamples": 20,
    "evaluation.baselines": False,
}
TARGETS = ["bought", "price", "colour"]


def three_sources(rows: int = 600) -> dict[str, Any]:
    """A table of three sources, each with the labels of one task."""
    table = only(make_table(rows), *TARGETS)
    source = np.random.default_rng(1).choice(3, rows, p=[0.6, 0.25, 0.15])
    table["bought"] = np.where(source == 0, table["bought"].astype(float), np.nan)
    table["price"] = np.where(source == 1, table["price"], np.nan)
    table["colour"] = np.where(source == 2, table["colour"], None)
    return table


def trainer(tmp_path: Path, **options: Any) -> Trainer:
    planned = plan(three_sources(), targets=TARGETS, options={**FAST, **options})
    prepared = prepare(planned.spec, planned.table)
    context = Context(planned.spec, tmp_path, History(), Silent(), Stop(), torch.device("cpu"))
    return make_trainer(context, prepared, ("joint", 0), tmp_path / "checkpoint.safetensors")[0]


def feed(tmp_path: Path, method: str, **options: Any) -> Sampled:
    found = trainer(tmp_path, **{"sampling.method": method, **options}).rows
    assert isinstance(found, Sampled)
    return found


def test_a_row_is_drawn_for_a_task_that_has_a_label_there_and_trains_that_one_alone(tmp_path: Path) -> None:
    sampled = feed(tmp_path, "uniform", **{"sampling.options": {"mix": "shares"}})
    problem = sampled.problem
    problem.model.eval()
    train = set(problem.train.tolist())
    for rows in sampled.epoch(0, 0):
        assert rows.owners is not None and set(rows.numbers.tolist()) <= train
        for task, target in enumerate(problem.targets):
            assert bool(target.observed[rows.numbers[rows.owners == task]].all())
    mixed = problem.losses(rows.numbers, rows.owners)
    for task, name in enumerate(TARGETS):
        alone = problem.losses(rows.numbers[rows.owners == task])[name]
        assert alone is not None and torch.allclose(mixed[name], alone)
    bought = torch.arange(600)[problem.targets[0].observed]
    of_others = problem.losses(bought, torch.ones_like(bought))
    assert of_others["bought"] is None and of_others["price"] is None


def test_the_mean_of_weighed_losses_is_the_mean_over_rows() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    errors = torch.tensor([1.0, 2.0, 6.0, 10.0])
    owners = torch.tensor([0, 0, 0, 2])
    rows = Rows(torch.arange(4), owners, torch.tensor([0.75, 0.0, 0.25]))
    losses = {"a": (weight * errors[:3]).mean(), "b": None, "c": (weight * errors[3:]).mean()}
    weighed = rows.weighed(losses)
    assert weighed["b"] is None
    present = [loss for loss in weighed.values() if loss is not None]
    assert [float(loss.detach()) for loss in present] == [6.0, 20.0]  # each task's own mean, as it was
    (slope,) = torch.autograd.grad(torch.stack(present).mean(), weight)
    assert float(slope) == pytest.approx(float(errors.mean()))


def test_with_batch_sizes_of_their_own_a_share_is_of_the_step_and_not_of_the_rows(tmp_path: Path) -> None:
    sizes = {"bought": 60, "price": 20, "colour": 10}
    sampled = feed(tmp_path, "uniform", **{"sampling.options": {"mix": "shares"}, "sampling.rows": sizes})
    for rows in sampled.epoch(0, 0):
        counts = np.bincount(rows.owners, minlength=3)
        assert all(abs(count - size / 3) <= 1 for count, size in zip(counts, sizes.values(), strict=True))
        assert rows.shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.07)
    alone = feed(tmp_path, "unmixed", **{"sampling.rows": sizes})
    seen = {(int(rows.owners[0]), len(rows)) for rows in alone.epoch(0, 0)}
    assert seen <= {(0, 60), (1, 20), (2, 10)} and len(seen) > 1


def test_a_bandit_hears_how_far_the_step_brought_its_task_down(tmp_path: Path) -> None:
    made = trainer(tmp_path, **{"sampling.method": "ucb"})
    sampled = made.rows
    assert isinstance(sampled, Sampled)
    heard: list[Any] = []
    sampled.problem.model.eval()
    observe = sampled.sampler.observe
    sampled.sampler.observe = lambda **news: (heard.append(news), observe(**news))  # type: ignore[method-assign]
    rows = next(sampled.epoch(0, 0))
    task = int(rows.owners[0])
    before = values(sampled.problem.losses(rows.numbers, rows.owners))[task].item()
    made._step(rows)
    after = values(sampled.problem.losses(rows.numbers, rows.owners))[task].item()
    (news,) = heard
    assert news["rewards"][task] == pytest.approx(min(max((before - after) / abs(before), 0), 1), abs=1e-6)
    assert news["rewards"].isnan().sum() == 2
    assert sampled.sampler.counts.tolist() == [float(k == task) for k in range(3)]  # type: ignore[union-attr]


def test_dropout_is_no_progress(tmp_path: Path) -> None:
    made = trainer(tmp_path, **{"sampling.method": "ucb", "training.learning_rate": 0.0})
    assert isinstance(made.rows, Sampled)
    made.problem.model.train()
    for rows in made.rows.epoch(0, 5):
        made._step(rows)
    assert made.rows.sampler.counts.sum() > 5 and not made.rows.sampler.sums.any()  # type: ignore[union-attr]


@pytest.mark.parametrize("balancing", ["fixed", "upgrad"])
def test_the_gramian_that_a_sampler_hears_is_that_of_the_losses_themselves(tmp_path: Path, balancing: str) -> None:
    made = trainer(tmp_path, **{"sampling.method": "son_goku", "balancing.method": balancing})
    sampled = made.rows
    assert isinstance(sampled, Sampled)
    sampled.problem.model.eval()
    rows = next(sampled.epoch(0, 0))
    losses = sampled.problem.losses(rows.numbers, rows.owners)
    shared = sampled.problem.last_shared if balancing == "fixed" else sampled.problem.shared
    expected = accord.gramian([loss for loss in losses.values() if loss is not None], shared)
    if balancing == "fixed":
        made.optimizer.step = lambda factor: None  # it is measured after the step
    heard: list[Any] = []
    observe = sampled.sampler.observe
    sampled.sampler.observe = lambda **news: (heard.append(news), observe(**news))  # type: ignore[method-assign]
    made._step(rows)
    (news,) = heard
    assert torch.allclose(news["gramian"].double(), expected.double(), rtol=1e-4)
    lengths = expected.double().diagonal().sqrt()
    assert torch.allclose(sampled.sampler.average, expected / lengths / lengths[:, None], rtol=1e-4)  # type: ignore[union-attr]


class Interrupter(Silent):
    """Presses Ctrl-C after some steps."""

    def __init__(self, after: int) -> None:
        self.after = after

    def advance(self, rows: int, losses: Mapping[str, float], speed: float) -> None:
        self.after -= 1
        if not self.after:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("method", "more", "after"),
    [
        ("temperature", {"sampling.rows": {"bought": 40, "price": 20, "colour": 30}}, 16),
        ("exp3", {}, 2),  # within the first epoch
        ("influence_matrix", {"sampling.options": {"bandit": "thompson"}}, 16),
        ("pi_ke", {"training.batch_size": 48}, 16),
        ("son_goku", {"sampling.options": {"period": 3, "threshold": 0.0}}, 16),
    ],
)
def test_a_stopped_run_goes_on_to_the_same_weights(
    tmp_path: Path, method: str, more: dict[str, Any], after: int
) -> None:
    options = {**FAST, **more, "sampling.method": method}
    table = three_sources()

    def go(name: str, **how: Any) -> Any:
        return run(plan(table, targets=TARGETS, options=options), tmp_path / name, **how)

    go("whole")
    assert go("stopped", progress=Interrupter(after)).interrupted
    assert not go("stopped", resume=True).interrupted
    whole, stopped = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "stopped"))
    assert all(torch.equal(whole[name], stopped[name]) for name in whole)
    histories = [read_parquet(tmp_path / name / "history.parquet") for name in ("whole", "stopped")]
    for column in ("step", "name", "task", "value"):
        assert np.array_equal(*(h[column] for h in histories), equal_nan=histories[0][column].dtype.kind == "f")
    shares = histories[0]["value"][histories[0]["name"] == "share"].reshape(-1, 3)
    assert len(shares) and np.allclose(shares.sum(1), 1)


def test_tasks_alone_take_all_their_rows_in_turn_and_shared_rows_are_noted(tmp_path: Path) -> None:
    table = three_sources()
    table["price"] = make_table(600)["price"]
    model = accord.fit(
        table,
        targets=["bought", "price"],
        sampling="proportional",
        epochs=1,
        batch_size=64,
        resamples=20,
        out=tmp_path / "r",
    )
    history = read_parquet(tmp_path / "r" / "history.parquet")
    assert set(history["run"][history["name"] == "share"]) == {"joint"}
    assert any("trains that one alone" in note for note in model.metrics["notes"])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sampling": "temprature"}, ConfigurationError, "Did you mean 'temperature'"),
        ({"sampling": "jest"}, ConfigurationError, "chooses rows"),
        ({"sampling": "uncertainty_aware"}, ConfigurationError, "loops of your own"),
        ({"sampling": "temperature", "sampling_options": {"temprature": 2}}, ConfigurationError, "'temperature'"),
        ({"sampling_options": {"temperature": 2}}, ConfigurationError, "name sampling.method"),
        ({"sampling": "uniform", "sampling_rows": {"bought": 3, "prise": 4}}, ConfigurationError, "'price'"),
        ({"sampling": "uniform", "sampling_rows": {"bought": 3}}, ConfigurationError, "sampling.rows.price"),
        ({"sampling": "temperature", "sampling_options": {"temperature": -1}}, ConfigurationError, "above 0"),
        ({"sampling": "cooldown"}, ConfigurationError, r"'start' and 'end', .* set sampling\.options\.start"),
        ({"sampling": "uniform"}, DataError, "every row has the labels of all"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], error: type, message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        accord.fit(only(make_table(200), "bought", "price"), targets=["bought", "price"], out=tmp_path / "r", **options)
