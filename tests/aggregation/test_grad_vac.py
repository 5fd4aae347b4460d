"""GradVac against its definition on vectors, and the state it keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from accord.aggregation import GradVac, PCGrad
from accord.aggregation.grad_vac import vaccinate
from accord.errors import ConfigurationError


def on_vectors(jacobian: np.ndarray, orders: np.ndarray, targets: np.ndarray, beta: float) -> np.ndarray:
    """The paper's loop, on the gradients themselves."""
    turned = jacobian.copy()
    for i, order in enumerate(orders):
        for j in order:
            if j == i:
                continue
            length, other = np.linalg.norm(turned[i]), np.linalg.norm(jacobian[j])
            phi, goal = turned[i] @ jacobian[j] / length / other, targets[i, j]
            if phi < goal:
                top = length * (goal * np.sqrt(1 - phi**2) - phi * np.sqrt(1 - goal**2))
                turned[i] += top / (other * np.sqrt(1 - goal**2)) * jacobian[j]
                assert turned[i] @ jacobian[j] / np.linalg.norm(turned[i]) / other == pytest.approx(goal, abs=1e-9)
            targets[i, j] = (1 - beta) * goal + beta * phi
    return turned.mean(axis=0)


@given(some.integers(0, 2**31), some.integers(2, 8))
@settings(max_examples=40, deadline=None)
def test_on_the_gramian_it_is_what_it_is_on_vectors(seed: int, tasks: int) -> None:
    rng = np.random.default_rng(seed)
    jacobian = rng.standard_normal((tasks, 2 * tasks)) * 10.0 ** rng.uniform(-2, 2, (tasks, 1))
    orders = rng.permuted(np.tile(np.arange(tasks), (tasks, 1)), axis=1)
    targets = rng.uniform(-0.5, 0.5, (tasks, tasks))
    expected = targets.copy()
    wanted = on_vectors(jacobian, orders, expected, 0.1)
    found = vaccinate(jacobian @ jacobian.T, orders, targets, 0.1) @ jacobian
    assert np.linalg.norm(found - wanted) < 1e-8 * np.linalg.norm(jacobian, axis=1).max()
    off = ~np.eye(tasks, dtype=bool)
    assert targets[off] == pytest.approx(expected[off], abs=1e-8)


def test_two_by_hand() -> None:
    # Cosine 0 and target 1/2: (1, 0) gains tan(30 degrees) of (0, 1), and likewise the other way round.
    vaccine = GradVac(beta=0.5)
    right = torch.eye(2, dtype=torch.float64)
    vaccine(torch.ones(2, 2, dtype=torch.float64))  # cosine 1, so targets become 1/2
    assert vaccine.targets[[0, 1], [1, 0]].tolist() == pytest.approx([0.5, 0.5])
    slope = 1 / math.sqrt(3)
    assert vaccine(right).tolist() == pytest.approx([(1 + slope) / 2] * 2)
    assert float(vaccine.targets[0, 1]) == pytest.approx(0.25)


def test_the_first_step_of_two_is_gradient_surgery() -> None:
    jacobian = torch.tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)
    assert GradVac()(jacobian).tolist() == pytest.approx(PCGrad()(jacobian).tolist())
    opposed = torch.tensor([[1.0, 2.0], [-3.0, -6.0]], dtype=torch.float64)
    assert GradVac()(opposed).tolist() == pytest.approx([0.0, 0.0], abs=1e-12)


def test_a_zero_gradient_meets_nobody() -> None:
    vaccine = GradVac(beta=0.5)
    vaccine(torch.ones(2, 2, dtype=torch.float64))
    assert vaccine(torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64)).tolist() == [0.5, 0.0]
    assert vaccine.targets[[0, 1], [1, 0]].tolist() == pytest.approx([0.5, 0.5])


def test_absent_tasks_keep_their_targets() -> None:
    vaccine = GradVac(beta=0.5)
    vaccine(torch.ones(3, 2))
    vaccine(torch.eye(3), active=torch.tensor([True, False, True]))
    assert vaccine.targets[[0, 2], [1, 1]].tolist() == pytest.approx([0.5, 0.5])
    assert vaccine.targets[0, 2] < 0.5
    with pytest.raises(ConfigurationError, match="set up for 3 tasks"):
        vaccine(torch.eye(2))


def test_its_orders_are_its_seeds() -> None:
    # Each pair conflicts, so that the order in which a gradient meets the others matters.
    rows = torch.tensor([[1.0, 0.0, 0.2], [-0.5, 0.9, 0.2], [-0.3, -0.9, 0.2]], dtype=torch.float64)
    vaccines = [GradVac(seed=seed) for seed in (5, 5, 6)]
    runs = [torch.stack([vaccine(rows) for _ in range(6)]) for vaccine in vaccines]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_beta_is_checked() -> None:
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ConfigurationError, match="beta"):
            GradVac(beta=wrong)
