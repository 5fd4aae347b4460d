"""Gradient-Blend by hand, and that its weights make overfitting smallest beside the gain."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import GradientBlend


def learn(weighting: GradientBlend, train: list[float], validation: list[float]) -> None:
    weighting.end_epoch(train=tensor(train, dtype=torch.float64), validation=tensor(validation, dtype=torch.float64))


def test_by_hand() -> None:
    weighting = GradientBlend()
    learn(weighting, [2.0, 2.0], [2.0, 2.0])
    assert weighting(torch.ones(2)).tolist() == [0.5, 0.5]
    learn(weighting, [1.0, 1.5], [1.5, 1.75])
    # Gains 1/2 and 1/4, overfitting 1/2 and 1/4: worth 2 and 4.
    assert weighting(torch.ones(2)).tolist() == pytest.approx([1 / 3, 2 / 3])
    learn(weighting, [0.5, 1.0], [1.25, 1.5])
    # Only what happened since counts: gains 1/4 and 1/4, overfitting 1/4 and 1/4.
    assert weighting(torch.ones(2)).tolist() == pytest.approx([0.5, 0.5])


def test_the_weights_make_overfitting_smallest_beside_the_gain() -> None:
    rng = np.random.default_rng(0)
    gain, overfit = rng.uniform(-0.1, 1, 5), rng.uniform(0.1, 1, 5)
    weighting = GradientBlend()
    learn(weighting, [3.0] * 5, [3.0] * 5)
    learn(weighting, (3.0 - gain - overfit).tolist(), (3.0 - gain).tolist())
    found = weighting(torch.ones(5, dtype=torch.float64)).numpy()

    def ratio(weights: np.ndarray) -> float:
        return float((weights**2 @ overfit**2) / (weights @ gain) ** 2)

    best = minimize(
        lambda w: ratio(w),
        np.full(5, 0.2),
        bounds=[(0, 1)] * 5,
        options={"ftol": 1e-14},
        constraints=[{"type": "eq", "fun": lambda w: w.sum() - 1}],
    )
    assert ratio(found) <= best.fun * (1 + 1e-9)
    assert found == pytest.approx(best.x, abs=1e-3)


def test_super_epochs_are_several_epochs_long() -> None:
    several, one = GradientBlend(epochs=3), GradientBlend()
    rows = [[3.0, 3.0], [2.5, 2.9], [2.0, 2.5], [1.0, 2.0], [0.9, 1.0], [0.8, 0.9], [0.5, 0.8]]
    for number, row in enumerate(rows):
        train, validation = row, [1.1 * value + 0.1 for value in row]
        learn(several, train, validation)
        if number % 3 == 0:
            learn(one, train, validation)
        if number == 2:
            assert several(torch.ones(2)).tolist() == [0.5, 0.5]
    assert torch.equal(several(torch.ones(2)), one(torch.ones(2)))


def test_offline_keeps_the_first_weights() -> None:
    weighting = GradientBlend(offline=True)
    learn(weighting, [2.0, 2.0], [2.0, 2.0])
    learn(weighting, [1.0, 1.5], [1.5, 1.75])
    learn(weighting, [0.1, 1.4], [1.4, 1.2])
    assert weighting(torch.ones(2)).tolist() == pytest.approx([1 / 3, 2 / 3])


def test_tasks_that_gain_nothing_or_overfit_nothing() -> None:
    weighting = GradientBlend()
    learn(weighting, [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    learn(weighting, [0.5, 0.5, 0.5], [1.2, 0.5, 0.8])
    # The first got worse and weighs 0; the second's overfitting of 0 counts as 1 % of the mean 1/3.
    worth = [0.0, 0.5 / (0.01 / 3) ** 2, 0.2 / 0.3**2]
    wanted = [value / sum(worth) for value in worth]
    overfits = [0.7, 0.0, 0.3]
    assert sum(overfits) / 3 == pytest.approx(1 / 3)
    assert weighting(torch.ones(3)).tolist() == pytest.approx(wanted)
    learn(weighting, [0.4, 0.4, 0.4], [1.3, 0.6, 0.9])  # nobody gained
    assert weighting(torch.ones(3)).tolist() == pytest.approx(wanted)
    even = GradientBlend()
    learn(even, [1.0, 1.0], [1.0, 1.0])
    learn(even, [0.5, 0.75], [0.5, 0.75])  # nobody overfits: by gain alone
    assert even(torch.ones(2)).tolist() == pytest.approx([2 / 3, 1 / 3])


def test_a_task_without_validation_counts_as_an_average_one() -> None:
    weighting = GradientBlend()
    learn(weighting, [2.0, 2.0, 2.0], [2.0, math.nan, 2.0])
    learn(weighting, [1.0, 1.0, 1.5], [1.5, math.nan, 1.75])
    assert weighting(torch.ones(3)).tolist() == pytest.approx([1 / 4.5, 1.5 / 4.5, 2 / 4.5])


def test_its_memory_resumes() -> None:
    first, second = GradientBlend(), GradientBlend()
    learn(first, [2.0, 2.0], [2.0, 2.0])
    second.load_state_dict(first.state_dict())
    for weighting in (first, second):
        learn(weighting, [1.0, 1.5], [1.5, 1.75])
    assert torch.equal(first(torch.ones(2)), second(torch.ones(2)))


def test_a_gap_that_closes_counts_as_one_that_opens() -> None:
    # The paper's square: gains of 1/2, and gaps that grow and shrink by 1/4.
    weighting = GradientBlend()
    learn(weighting, [2.0, 2.0], [2.0, 3.0])
    learn(weighting, [1.25, 1.75], [1.5, 2.5])
    assert weighting(torch.ones(2)).tolist() == pytest.approx([0.5, 0.5])


def test_a_task_that_was_not_seen_is_compared_with_its_last_losses() -> None:
    weighting = GradientBlend()
    learn(weighting, [2.0, 2.0], [2.0, 2.0])
    learn(weighting, [1.5, math.nan], [1.75, math.nan])
    learn(weighting, [1.0, 1.25], [1.5, 1.5])
    # Gains of 1/4 since the second end and of 1/2 since the first, and 1/4 overfitted by both.
    assert weighting(torch.ones(2)).tolist() == pytest.approx([1 / 3, 2 / 3])


def test_its_memory_resumes_within_a_super_epoch() -> None:
    rows = [[2.0, 2.0], [1.5, 1.9], [1.0, 1.5], [0.9, 1.0], [0.4, 0.9]]
    first, second = GradientBlend(epochs=2), GradientBlend(epochs=2)
    for row in rows[:4]:
        learn(first, row, [1.1 * value + 0.2 for value in row])
    second.load_state_dict(first.state_dict())
    for weighting in (first, second):
        assert weighting(torch.ones(2))[0] != 0.5
        learn(weighting, rows[4], [1.2 * value + 0.1 for value in rows[4]])
    assert torch.equal(first(torch.ones(2)), second(torch.ones(2)))
    assert not torch.equal(first.start, torch.tensor([[1.0, 1.5], [1.3, 1.85]]))


def test_what_it_cannot_work_with_is_said() -> None:
    with pytest.raises(ConfigurationError, match="epochs=0"):
        GradientBlend(epochs=0)
    weighting = GradientBlend()
    with pytest.raises(ConfigurationError, match="one mean loss per task"):
        weighting.end_epoch(train=torch.ones(2), validation=torch.ones(3))
    learn(weighting, [1.0, 1.0], [1.0, 1.0])
    with pytest.raises(ConfigurationError, match="set up for 2"):
        learn(weighting, [1.0], [1.0])
