"""Schedule, stopping, meter, history, interruption: the small gears of the loop."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from accord.training.history import Clock, History
from accord.training.interrupt import listening
from accord.training.meter import Meter
from accord.training.schedule import rate_factor
from accord.training.spec import TrainingSpec
from accord.training.stopping import Best


def test_cosine_by_hand() -> None:
    spec = TrainingSpec(schedule="cosine", warmup=0.1)
    factors = [rate_factor(spec, step, 100) for step in (0, 4, 9, 10, 55, 100)]
    assert factors == pytest.approx([0.1, 0.5, 1.0, 1.0, 0.5, 0.0])


def test_linear_and_constant_by_hand() -> None:
    assert rate_factor(TrainingSpec(schedule="linear", warmup=0.0), 25, 100) == pytest.approx(0.75)
    assert rate_factor(TrainingSpec(schedule="constant", warmup=0.0), 99, 100) == 1.0


@given(st.sampled_from(["cosine", "linear", "constant"]), st.floats(0, 1), st.integers(1, 500), st.data())
def test_factor_stays_between_0_and_1(schedule, warmup, total, data) -> None:
    step = data.draw(st.integers(0, total - 1))
    assert 0 <= rate_factor(TrainingSpec(schedule=schedule, warmup=warmup), step, total) <= 1


def test_score_has_no_unit() -> None:
    best = Best()
    better = {"auc": True, "rmse": False}
    assert best.scored({"auc": 0.8, "rmse": 1000.0}, better) == pytest.approx((0.8 - 1.0) / 2)
    assert best.scored({"auc": 0.8, "rmse": 500.0}, better) == pytest.approx((0.8 - 0.5) / 2)


def test_undefined_metrics_do_not_count() -> None:
    best = Best()
    assert best.scored({"a": 0.5, "b": float("nan")}, {"a": True, "b": True}) == 0.5
    assert best.scored({"b": float("nan")}, {"b": True}) == float("-inf")


def test_best_keeps_a_copy_and_counts_the_wait() -> None:
    best, weights = Best(), {"w": torch.zeros(2)}
    best.update(float("-inf"), 0, weights)  # even an undefined first score has weights to go back to
    best.update(0.5, 1, weights)
    weights["w"].fill_(9)
    best.update(0.4, 2, weights)
    best.update(0.5, 3, weights)
    assert (best.epoch, best.waited) == (1, 2)
    assert best.weights["w"].tolist() == [0, 0]


def test_meter_leaves_out_absent_and_non_finite_losses() -> None:
    meter = Meter(["a", "b", "c"])
    meter.add({"a": torch.tensor(1.0), "b": None}, torch.tensor([0.2, 0.8, 0.0]))
    meter.add({"a": torch.tensor(3.0), "b": torch.tensor(float("inf"))}, torch.tensor([0.4, 0.6, 0.0]))
    losses, weights = meter.take()
    assert losses == {"a": 2.0}
    assert weights == pytest.approx({"a": 0.3, "b": 0.7, "c": 0.0})
    assert meter.take() == ({}, {})


def test_history_survives_on_disk_and_forgets(tmp_path: Path) -> None:
    history, clock = History(), Clock(3, 300, 1.5)
    history.add(("joint", 0), clock, "train", "loss", 0.5, "a")
    history.add(("joint", 0), Clock(9, 900, 4.5), "train", "cosine", -0.25, "a", "b")
    history.add(("single:ä", 1), Clock(9, 900, 4.5), "validation", "auc", float("nan"), "a")
    history.save(tmp_path / "history.parquet")
    again = History.load(tmp_path / "history.parquet")
    assert again.records[:2] == history.records[:2]
    assert again.records[2][:-1] == history.records[2][:-1]
    again.forget_after(("joint", 0), 3, midway=False)
    assert [r[2] for r in again.records] == [3, 9]
    again.forget_after(("single:ä", 1), 9, midway=False)
    assert [r[2] for r in again.records] == [3, 9]
    again.forget_after(("single:ä", 1), 9, midway=True)
    assert [r[2] for r in again.records] == [3]
    assert History.load(tmp_path / "absent.parquet").records == []


def test_first_signal_asks_and_second_stops() -> None:
    before = signal.getsignal(signal.SIGINT)
    with listening() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.requested
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_run_without_signals() -> None:
    seen = []

    def work() -> None:
        with listening() as stop:
            seen.append(stop.requested)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
