"""The verdict: intervals that cover what they say, differences signed the right way, sentences that match."""

from __future__ import annotations

import numpy as np
import pytest

from accord.tasks.metrics import AUC, RMSE
from accord.training.verdict import Contest, interval, judge, resampled_counts


def contest(metric, truth, joint, single, task="t") -> Contest:
    return Contest(task, metric, [metric.scorer(p, truth) for p in joint], [metric.scorer(p, truth) for p in single])


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_counts_are_draws_with_replacement(rng) -> None:
    counts = np.concatenate(list(resampled_counts(50, 400, rng)))
    assert counts.shape == (400, 50)
    assert (counts.sum(1) == 50).all()
    # A row is left out with probability (1 - 1/50)^50 = 0.364.
    assert abs((counts == 0).mean() - 0.364) < 0.01


def test_identical_models_make_no_difference(rng) -> None:
    truth = rng.integers(0, 2, 300).astype(float)
    score = rng.random(300)
    (answer,) = judge([contest(AUC, truth, [score], [score])], rows=300, resamples=200, confidence=0.95).tasks
    assert (answer.difference, answer.low, answer.high) == (0, 0, 0)
    assert answer.outcome == "no clear difference"


def test_better_joint_model_is_said_to_help(rng) -> None:
    truth = rng.integers(0, 2, 2000).astype(float)
    good, bad = truth + rng.normal(0, 0.8, 2000), truth + rng.normal(0, 3, 2000)
    verdict = judge([contest(AUC, truth, [good], [bad], "income")], rows=2000, resamples=300, confidence=0.95)
    (answer,) = verdict.tasks
    assert answer.low > 0
    assert answer.sentence.startswith("Sharing helped income: +")
    assert "AUC points" in answer.sentence
    assert verdict.delta_m["value"] == pytest.approx(100 * (answer.joint - answer.single) / answer.single)


def test_lower_is_better_keeps_the_metrics_own_sign_in_words(rng) -> None:
    truth = rng.normal(size=1000)
    near, far = truth + rng.normal(0, 0.5, 1000), truth + rng.normal(0, 1.0, 1000)
    (answer,) = judge([contest(RMSE, truth, [far], [near], "age")], rows=1000, resamples=300, confidence=0.95).tasks
    assert answer.difference < 0
    assert answer.outcome == "hurt"
    assert answer.sentence.startswith("Sharing hurt age: +0.")
    assert answer.sentence.endswith("(lower is better).")


def test_paired_interval_agrees_with_the_normal_one(rng) -> None:
    """The bootstrap of a mean difference must have the textbook standard error."""
    truth = np.zeros(4000)
    joint, single = rng.normal(1.0, 0.3, 4000), rng.normal(1.2, 0.3, 4000)
    squared = joint**2 - single**2
    mse = type(RMSE)("mse", "MSE", False, "", 1.0, lambda p, t: lambda w: (w @ (p - t) ** 2) / w.sum(1))
    (answer,) = judge([contest(mse, truth, [joint], [single])], rows=4000, resamples=2000, confidence=0.95).tasks
    half = 1.96 * squared.std() / np.sqrt(4000)
    assert (answer.high - answer.low) / 2 == pytest.approx(half, rel=0.1)
    assert answer.difference == pytest.approx(-squared.mean())


def test_seeds_that_disagree_widen_the_interval(rng) -> None:
    truth = rng.integers(0, 2, 3000).astype(float)
    single = [truth + rng.normal(0, 1, 3000)] * 3
    steady = [truth + rng.normal(0, 1, 3000)] * 3
    moody = [truth + rng.normal(0, s, 3000) for s in (0.6, 1.0, 1.6)]
    widths = []
    for joint in (steady, moody):
        (a,) = judge([contest(AUC, truth, joint, single)], rows=3000, resamples=400, confidence=0.95).tasks
        widths.append(a.high - a.low)
    assert widths[1] > 2 * widths[0]


def test_delta_m_is_the_mean_signed_relative_gain(rng) -> None:
    truth = rng.normal(size=500)
    near, far = truth + 0.5, truth + 1.0
    up = contest(RMSE, truth, [near], [far], "a")  # RMSE 0.5 against 1.0: +50 %
    down = contest(RMSE, truth, [far], [near], "b")  # 1.0 against 0.5: -100 %
    verdict = judge([up, down], rows=500, resamples=50, confidence=0.95)
    assert verdict.delta_m["value"] == pytest.approx(-25.0)


def test_interval_ignores_undefined_resamples() -> None:
    assert interval(np.array([np.nan, 1.0, 2.0, 3.0]), 0.5) == pytest.approx((1.5, 2.5))
    assert np.isnan(interval(np.array([np.nan]), 0.5)).all()


def test_large_test_sets_get_fewer_resamples(monkeypatch) -> None:
    monkeypatch.setattr("accord.training.verdict.MAX_DRAWS", 100 * 250)
    truth = np.tile([0.0, 1.0], 50)
    verdict = judge([contest(AUC, truth, [truth], [truth])], rows=100, resamples=1000, confidence=0.95)
    assert verdict.resamples == 250
