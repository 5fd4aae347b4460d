"""MoCo against the paper's recursion, and against noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import tensor

from accord.aggregation import MGDA, MoCo
from accord.errors import ConfigurationError


def nearest(point: np.ndarray) -> np.ndarray:
    """The nearest point of the simplex, by a general solver."""
    found = minimize(
        lambda w: ((w - point) ** 2).sum(),
        np.full(len(point), 1 / len(point)),
        jac=lambda w: 2 * (w - point),
        bounds=[(0, 1)] * len(point),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 200},
    )
    return found.x


def test_it_is_the_papers_recursion() -> None:
    rng = np.random.default_rng(0)
    aggregator = MoCo(beta=0.9, beta_decay=0.3, gamma=0.8, gamma_decay=0.2, rho=0.05)
    tracked, weights = np.zeros((3, 8)), np.ones(3) / 3
    for k in range(1, 7):
        rows = rng.standard_normal((3, 8)) * [[0.5], [1.0], [2.0]]
        tracked += (1.0 if k == 1 else 0.9 / k**0.3) * (rows - tracked)
        gramian = tracked @ tracked.T
        slope = (gramian / np.trace(gramian) * 3 + 0.05 * np.eye(3)) @ weights
        weights = nearest(weights - 0.8 / k**0.2 * slope)
        found = aggregator(torch.from_numpy(rows)).numpy()
        assert found == pytest.approx(weights @ tracked, abs=1e-6)
        assert aggregator.shares.tolist() == pytest.approx(weights.tolist(), abs=1e-6)
    assert weights.min() < 0.1, "weights that hardly moved test nothing"


def test_two_steps_by_hand() -> None:
    aggregator = MoCo(beta=0.5, beta_decay=0.0, gamma=0.25, gamma_decay=0.0)
    # Y = rows, Y Y' = diag(1, 3) and s = 2: w = (1/2, 1/2) - 1/4 (1/4, 3/4), and 1/8 more for each, 1/4 in all.
    first = tensor([[1.0, 0.0], [0.0, math.sqrt(3.0)]], dtype=torch.float64)
    assert aggregator(first).tolist() == pytest.approx([9 / 16, 7 / 16 * math.sqrt(3.0)])
    # Then half way to gradients of 0: Y is half as long, which changes no weight's step.
    slope = np.array([9 / 16 / 2, 7 / 16 * 3 / 2]) / 4
    weights = np.array([9 / 16, 7 / 16]) - slope + slope.mean()
    assert aggregator(torch.zeros_like(first)).tolist() == pytest.approx((weights * [0.5, math.sqrt(0.75)]).tolist())


def test_noise_biases_mgda_and_not_moco() -> None:
    rng = np.random.default_rng(1)
    clean = np.array([[1.0, 0.0, 0.0], [0.4, 0.9, 0.0]])
    exact = MGDA()(torch.from_numpy(clean)).numpy()
    aggregator = MoCo(beta=0.5, beta_decay=0.5, gamma=0.5, gamma_decay=0.0)
    ones, others = [], []
    for step in range(600):
        noisy = torch.from_numpy(clean + rng.standard_normal((2, 3)) * [[0.3], [2.0]])
        moco, mgda = aggregator(noisy).numpy(), MGDA()(noisy).numpy()
        if step >= 200:
            ones.append(moco)
            others.append(mgda)
    assert np.linalg.norm(np.mean(ones, axis=0) - exact) < 0.2
    assert np.linalg.norm(np.mean(others, axis=0) - exact) > 0.3


def test_absent_tasks_keep_gradient_and_share() -> None:
    aggregator = MoCo(gamma=0.5)
    aggregator(torch.diag(tensor([1.0, 2.0, 3.0])))
    before, shares = aggregator.tracked.clone(), aggregator.shares.clone()
    aggregator(torch.ones(3, 3), active=tensor([True, False, True]))
    assert torch.equal(aggregator.tracked[1], before[1]) and not torch.equal(aggregator.tracked[0], before[0])
    assert aggregator.shares[1] == shares[1] and float(aggregator.shares.sum()) == pytest.approx(1.0)
    with pytest.raises(ConfigurationError, match="remembers gradients"):
        aggregator(torch.ones(2, 3))


def test_steps_are_counted_by_task_and_the_longest_count_is_that_of_the_weights() -> None:
    aggregator = MoCo(beta=5.0, beta_decay=0.0, gamma=1.0, gamma_decay=1.0)
    rows = tensor([[1.0, 0.0], [0.0, math.sqrt(3.0)]], dtype=torch.float64)
    aggregator(7 * rows, active=tensor([True, False]))
    # Nothing is followed farther than to where it is. Y Y' = diag(1, 3), s = 2 and c_2 = 1/2: (1/2, 1/2) less half of
    # (1/4, 3/4), and 1/4 more for each.
    assert aggregator(rows).tolist() == pytest.approx([5 / 8, 3 / 8 * math.sqrt(3.0)])
    assert aggregator.steps.tolist() == [2.0, 1.0] and torch.equal(aggregator.tracked, rows)


def test_options_are_checked() -> None:
    for options in ({"beta": 0.0}, {"beta_decay": -1.0}, {"gamma": math.inf}, {"gamma_decay": math.nan}, {"rho": -0.1}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            MoCo(**options)
