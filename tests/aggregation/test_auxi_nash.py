"""AuxiNash: the bargain under given powers, their hypergradient, and what they learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import nn, tensor

import accord
from accord.aggregation import AuxiNash, NashMTL
from accord.aggregation.auxi_nash import power_gradient
from accord.errors import ConfigurationError, NonFiniteError
from accord.linalg import bargaining_weights


def test_given_powers_it_is_the_bargain() -> None:
    rng = np.random.default_rng(0)
    jacobian = rng.standard_normal((4, 9)) * [[0.1], [1.0], [1.0], [10.0]]
    powers = np.array([0.4, 2.0, 1.0, 0.6])
    weights = AuxiNash(powers=powers).weights(torch.from_numpy(jacobian @ jacobian.T)).numpy()  # pyright: ignore
    # G a = p / a up to one factor, that of the common scale.
    ratio = weights * (jacobian @ jacobian.T @ weights) / powers
    assert ratio == pytest.approx(np.full(4, ratio.mean()))
    assert AuxiNash()(torch.from_numpy(jacobian)).tolist() == NashMTL()(torch.from_numpy(jacobian)).tolist()
    unequal = AuxiNash(powers=[1, 3])(tensor([[1.0, 0.0], [0.0, 2.0]]))
    assert unequal.tolist() == NashMTL(preference=[1, 3])(tensor([[1.0, 0.0], [0.0, 2.0]])).tolist()


@given(some.integers(0, 2**31), some.integers(1, 8))
@settings(max_examples=30, deadline=None)
def test_the_hypergradient_is_a_finite_difference(seed: int, tasks: int) -> None:
    rng = np.random.default_rng(seed)
    jacobian = rng.standard_normal((tasks + 1, 3 * tasks)) * 10.0 ** rng.uniform(-1, 1, (tasks + 1, 1))
    gramian, powers, small = jacobian @ jacobian.T, rng.uniform(0.3, 3.0, tasks), 1e-6

    def held_out(p: np.ndarray) -> float:
        step = bargaining_weights(gramian[:-1, :-1], p) @ jacobian[:-1]
        return -float(step @ jacobian[-1]) / float(np.linalg.norm(jacobian[-1]))

    wanted = [(held_out(powers + small * e) - held_out(powers - small * e)) / (2 * small) for e in np.eye(tasks)]
    assert power_gradient(gramian, powers) == pytest.approx(np.array(wanted), abs=1e-6)


def test_an_update_by_hand() -> None:
    # Unit gradients at right angles, the held-out one along the first: a = 1, (I + I)^-1 (1, 0) = (1/2, 0).
    rows = tensor([[3.0, 0.0], [0.0, 0.1], [7.0, 0.0]], dtype=torch.float64)
    balancer = AuxiNash(rate=0.1, momentum=0.5)
    balancer.update(rows @ rows.T)
    assert balancer.powers.tolist() == pytest.approx([2 * 1.05 / 2.05, 2 * 1.0 / 2.05])
    first = float(balancer.powers[0])
    # Then b_1 = sqrt(p_1): (1 + p_1 / p_1)^-1 / sqrt(p_1), and half of the 1/2 before.
    balancer.update(rows @ rows.T)
    moved = first + 0.1 * (0.5 / math.sqrt(first) + 0.25)
    assert float(balancer.powers[0]) == pytest.approx(2 * moved / (moved + 2 - first))


def test_long_slopes_are_cut_to_length_one() -> None:
    rows = tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    balancer = AuxiNash(powers=[0.08, 1.92], rate=0.1)
    # b_1 = sqrt(0.08), and the slope half of its inverse: 1.77.
    balancer.update(rows @ rows.T)
    assert balancer.powers.tolist() == pytest.approx([2 * 0.18 / 2.1, 2 * 1.92 / 2.1])


def test_those_that_are_there_keep_the_power_they_have_together() -> None:
    rows = tensor([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    balancer = AuxiNash(powers=[2.0, 0.4, 0.6], rate=0.1)
    balancer.update(rows @ rows.T, active=tensor([True, False, True]))
    assert float(balancer.powers[1]) == pytest.approx(0.4) and float(balancer.powers.sum()) == pytest.approx(3.0)


def test_a_task_without_gradient_is_asked_nothing() -> None:
    rows = tensor([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [1.0, 0.5]], dtype=torch.float64)
    powers = np.array([0.5, 1.5, 1.0])
    slope = power_gradient((rows @ rows.T).numpy(), powers)
    others = rows[[0, 2, 3]]
    assert slope[1] == 0.0
    assert slope[[0, 2]] == pytest.approx(power_gradient((others @ others.T).numpy(), powers[[0, 2]]))


def test_powers_stay_above_the_floor_and_on_scale() -> None:
    rows = tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [1.0, -1.0, 0.0]], dtype=torch.float64)
    balancer = AuxiNash(rate=0.5, floor=0.01)
    for _ in range(60):
        balancer.update(rows @ rows.T)
        assert float(balancer.powers.sum()) == pytest.approx(3.0) and float(balancer.powers.min()) >= 0.005
    assert balancer.powers[0] > 2 and balancer.powers[1] < 0.02


def test_absent_tasks_keep_their_power() -> None:
    rows = tensor([[1.0, 0.0], [math.nan, 0.0], [0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    balancer, active = AuxiNash(rate=0.1), tensor([True, False, True])
    balancer.update(rows @ rows.T, active=active)
    assert float(balancer.powers[1]) == 1.0 and float(balancer.powers.sum()) == pytest.approx(3.0)
    assert balancer.powers[0] > 1 > balancer.powers[2]
    assert balancer.weights(rows[:3] @ rows[:3].T, active=active)[1] == 0


def test_it_resumes_in_the_middle_of_learning() -> None:
    rng = np.random.default_rng(1)
    steps = [torch.from_numpy(rng.standard_normal((4, 8))) for _ in range(6)]
    first, second = AuxiNash(rate=0.3), AuxiNash(rate=0.3)
    for rows in steps[:3]:
        first.update(rows @ rows.T)
    second.load_state_dict(first.state_dict())
    for rows in steps[3:]:
        first.update(rows @ rows.T)
        second.update(rows @ rows.T)
        assert torch.equal(first(rows[:3]), second(rows[:3]))
    assert not torch.equal(first(steps[0][:3]), AuxiNash()(steps[0][:3]))


def train(balancer: AuxiNash) -> float:
    """Train on a noisy main task, its noise-free twin and an unrelated task; return the main one's held-out loss."""
    torch.manual_seed(0)
    truth, other = torch.randn(2, 12)
    features, held_out, noise = torch.randn(40, 12), torch.randn(200, 12), torch.randn(40)
    trunk = nn.Parameter(torch.zeros(12))
    optimiser = torch.optim.SGD([trunk], lr=0.02)
    goals = [features @ truth + 2 * noise, features @ truth, features @ other]

    def validation() -> torch.Tensor:
        return (held_out @ (trunk - truth)).square().mean()

    for step in range(60):
        optimiser.zero_grad()
        accord.backward([(features @ trunk - goal).square().mean() for goal in goals], [trunk], balancer)
        optimiser.step()
        if step % 3 == 0:
            losses = [(features @ trunk - goal).square().mean() for goal in goals]
            balancer.update(accord.gramian([*losses, validation()], shared=[trunk]))
    return validation().item()


def test_a_helpful_task_gains_power_and_a_harmful_one_loses_it() -> None:
    learning = AuxiNash(rate=0.05)
    with_learning, without = train(learning), train(AuxiNash(rate=0.0))
    _, helpful, harmful = learning.powers.tolist()
    assert helpful > 1.2 and harmful < 0.7
    assert with_learning < 0.95 * without


def test_what_cannot_be_meant_is_named() -> None:
    for options in ({"rate": -1.0}, {"momentum": 1.0}, {"floor": 0.0}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            AuxiNash(**options)
    balancer = AuxiNash()
    with pytest.raises(ConfigurationError, match="update takes the Gramian"):
        balancer.update(torch.ones(1, 1))
    balancer(torch.eye(3))
    with pytest.raises(ConfigurationError, match="powers for 3 tasks but was given 2"):
        balancer.update(torch.eye(3))
    bad = torch.eye(4)
    bad[3, 3] = math.inf
    with pytest.raises(NonFiniteError, match=r"rows \[3\].*row 3 is the held-out"):
        balancer.update(bad)
    assert balancer.powers.tolist() == [1.0, 1.0, 1.0]
