"""MoDo and SDMGrad: the papers' updates from two and three mini-batches, and from one."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.aggregation.test_mo_co import nearest
from torch import nn, tensor

import accord
from accord.aggregation import MGDA, MoCo, MoDo, SDMGrad
from accord.errors import ConfigurationError, NonFiniteError
from accord.testing import check_aggregator


def jacobians(seed: int, batches: int, tasks: int, parameters: int = 9) -> np.ndarray:
    """Gradients ``[B, T, P]`` of batches that share a signal."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((tasks, parameters)) + 0.5 * rng.standard_normal((batches, tasks, parameters))


def unit(one: np.ndarray, two: np.ndarray) -> float:
    """The mean gradient's squared length."""
    return np.sqrt(np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)).mean() ** 2


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_modo_is_the_papers_update(batches: int) -> None:
    aggregator, weights, units = MoDo(tasks=3, gamma=0.6, rho=0.2), np.ones(3) / 3, []
    for step in range(6):
        several = jacobians(step, batches, 3)
        one, two = several[0], several[min(1, batches - 1)]
        units.append(unit(one, two))
        weights = nearest(weights - 0.6 * (one @ two.T @ weights / np.mean(units) + 0.2 * weights))
        moving = several[2] if batches == 3 else several.mean(axis=0)
        found = aggregator(torch.from_numpy(several.reshape(-1, 9))).numpy()
        assert found == pytest.approx(weights @ moving, abs=1e-6)
    assert np.ptp(weights) > 0.1, "weights that hardly moved test nothing"


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_sdmgrad_is_the_papers_update(batches: int) -> None:
    preference = np.array([0.5, 0.2, 0.3])
    aggregator = SDMGrad(tasks=3, lam=0.4, iterations=3, step=0.7, momentum=0.3, preference=[5, 2, 3])
    weights = np.ones(3) / 3
    for step in range(4):
        several = jacobians(step, batches, 3)
        cross = several[0] @ several[min(1, batches - 1)].T
        rate = 0.7 / np.linalg.svd(cross, compute_uv=False).max()
        velocity = np.zeros(3)
        for _ in range(3):
            velocity = 0.3 * velocity + cross @ (weights + 0.4 * preference)
            weights = nearest(weights - rate * velocity)
        moving = several[2] if batches == 3 else several.mean(axis=0)
        found = aggregator(torch.from_numpy(several.reshape(-1, 9))).numpy()
        assert found == pytest.approx((weights + 0.4 * preference) @ moving / 1.4, abs=1e-6)
    assert np.ptp(weights) > 0.1, "weights that hardly moved test nothing"


def test_by_hand() -> None:
    # Both batches: gradients (2, 0) and (0, 1), so s = (3/2)^2 and J_1 J_2' / s = diag(16, 4) / 9. From even weights,
    # gamma = 9/20: (1/2, 1/2) - (8, 2) / 20, and 1/4 for each, is (7/20, 13/20).
    rows = tensor([[2.0, 0.0], [0.0, 1.0]], dtype=torch.float64).repeat(2, 1)
    aggregator = MoDo(tasks=2, gamma=9 / 20, rho=0.0)
    assert aggregator.weights(rows @ rows.T).tolist() == pytest.approx([7 / 40, 13 / 40] * 2)
    # One step of 1/4 with L = 4 along diag(4, 1) (w + p / 2), w and p even: (1/2, 1/2) - (3, 3/4) / 16, and 15/128 for
    # each, is (55/128, 73/128); with half of p added, over 3/2.
    directed = SDMGrad(tasks=2, lam=0.5, iterations=1, step=0.25, momentum=0.0)
    wanted = [(55 / 128 + 1 / 4) / 1.5, (73 / 128 + 1 / 4) / 1.5]
    assert directed.weights(rows @ rows.T).reshape(2, 2).sum(dim=0).tolist() == pytest.approx(wanted)


def test_sdmgrad_ends_at_the_shortest_mixture() -> None:
    one = jacobians(0, 1, 4)[0]
    for lam, tolerance in ((0.0, 1e-4), (0.5, 1e-4)):
        aggregator = SDMGrad(lam=lam)
        for _ in range(100):
            found = aggregator(torch.from_numpy(one)).numpy()
        if lam == 0.0:
            wanted = MGDA()(torch.from_numpy(one)).numpy()
        else:
            shifted = one + lam * one.mean(axis=0)  # sum_i w_i (g_i + lam g_0), shortest
            wanted = MGDA()(torch.from_numpy(shifted)).numpy() / (1 + lam)
        assert found == pytest.approx(wanted, abs=tolerance)


def test_two_batches_have_no_noise_in_common() -> None:
    # Two gradients of one length, the second under much more noise: on one batch its length tells against it.
    rng, clean = np.random.default_rng(3), np.eye(2)
    two, one = MoDo(tasks=2, gamma=0.02, rho=0.0), MoDo(tasks=2, gamma=0.02, rho=0.0)
    halves, wholes = [], []
    for step in range(1500):
        noisy = clean + rng.standard_normal((2, 2, 2)) * [[0.1], [1.0]]
        two(torch.from_numpy(noisy.reshape(4, 2)))
        one(torch.from_numpy(noisy[0]))
        if step >= 300:
            halves.append(float(two.shares[0]))
            wholes.append(float(one.shares[0]))
    assert abs(np.mean(halves) - 0.5) < 0.1
    assert np.mean(wholes) > 0.7


@pytest.mark.parametrize("method", [MoDo, SDMGrad])
def test_a_task_that_a_batch_lacks(method: type[MoDo] | type[SDMGrad]) -> None:
    aggregator = method(tasks=3)
    rows = torch.from_numpy(jacobians(0, 2, 3).reshape(6, 9))
    rows[4] = torch.nan
    active = tensor([True, True, True, True, False, True])
    weights = aggregator.weights(rows @ rows.T, active=active)
    # Its one gradient carries all of its weight, and its share waits.
    assert weights[4] == 0 and float(weights.sum()) == pytest.approx(1.0)
    assert float(aggregator.shares[1]) == pytest.approx(1 / 3) and float(aggregator.shares.sum()) == pytest.approx(1.0)
    assert float(weights[0]) == pytest.approx(float(weights[3]))
    # The others have moved on by what both batches have of them.
    assert aggregator.shares[0] != aggregator.shares[2] and aggregator.units.isfinite().all()
    with pytest.raises(NonFiniteError, match=r"\[4\]"):
        aggregator.weights(rows @ rows.T)
    assert not aggregator.weights(rows @ rows.T, active=torch.zeros(6, dtype=torch.bool)).any()


@pytest.mark.parametrize(
    "make", [lambda: MoDo(gamma=50.0, rho=0.0), lambda: SDMGrad(lam=0.0), lambda: MoCo(gamma=50.0)]
)
def test_a_task_that_has_lost_all_its_share_moves_alone_where_it_is_alone(make) -> None:
    aggregator, rows = make(), torch.diag(tensor([1.0, 100.0], dtype=torch.float64))
    for _ in range(3):
        aggregator(rows)
    aggregator.shares = tensor([1.0, 0.0], dtype=torch.float64)
    alone = tensor([False, True])
    assert aggregator(rows, active=alone).tolist() == pytest.approx([0.0, 100.0])
    assert aggregator.shares.tolist() == [1.0, 0.0]


def test_a_preference_is_over_those_that_are_there() -> None:
    rows = torch.from_numpy(jacobians(4, 1, 3)[0])
    found = SDMGrad(preference=[5, 2, 3])(rows, active=tensor([False, True, True]))
    assert found.tolist() == pytest.approx(SDMGrad(preference=[2, 3])(rows[1:]).tolist())
    # Where none of them is preferred, none is.
    left = SDMGrad(preference=[5, 0, 0])(rows, active=tensor([False, True, True]))
    assert left.tolist() == pytest.approx(SDMGrad()(rows[1:]).tolist())


def test_batches_at_right_angles_teach_nothing() -> None:
    rows = torch.eye(4, dtype=torch.float64)
    for aggregator in (SDMGrad(tasks=2), MoDo(tasks=2, rho=0.0)):
        assert aggregator(rows).tolist() == pytest.approx([0.25] * 4)
        assert aggregator.shares.tolist() == [0.5, 0.5]


def test_in_a_training_step() -> None:
    torch.manual_seed(0)
    trunk, heads = nn.Linear(4, 3), nn.ModuleList([nn.Linear(3, 1), nn.Linear(3, 1)])
    batch, targets = torch.randn(8, 4), torch.randn(2, 8)
    features = trunk(batch)
    halves = [
        (heads[task](features[part]).squeeze(1) - targets[task, part]).square().mean()
        for part in (slice(0, 4), slice(4, 8))
        for task in range(2)
    ]
    jacobian = accord.jacobian(halves, shared=trunk.parameters())
    wanted = MoDo(tasks=2)(jacobian)
    mean = torch.autograd.grad(torch.stack(halves).mean(), heads.parameters(), retain_graph=True)
    accord.backward(halves, shared=trunk.parameters(), balancer=MoDo(tasks=2), engine="gramian")
    found = torch.cat([parameter.grad.flatten() for parameter in trunk.parameters() if parameter.grad is not None])
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)
    for parameter, gradient in zip(heads.parameters(), mean, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


@pytest.mark.parametrize("factory", [lambda: SDMGrad(lam=0.0), lambda: SDMGrad(preference=None, step=0.3), MoDo])
def test_options_keep_the_contract(factory) -> None:
    check_aggregator(factory, ("unanimous", "within_scale", "convex"), examples=4)


def test_options_and_sizes_are_checked() -> None:
    for method, options in (
        (MoDo, {"gamma": 0.0}),
        (MoDo, {"rho": -1.0}),
        (MoDo, {"tasks": 0}),
        (SDMGrad, {"lam": math.nan}),
        (SDMGrad, {"iterations": 0}),
        (SDMGrad, {"step": 0.0}),
        (SDMGrad, {"momentum": 1.0}),
        (SDMGrad, {"preference": [0.0, 0.0]}),
    ):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            method(**options)
    with pytest.raises(ConfigurationError, match=r"3 tasks but was given 4 losses.*3, 6 or 9, batch by batch"):
        MoDo(tasks=3)(torch.eye(4))
    with pytest.raises(ConfigurationError, match="2 entries but there are 3 tasks"):
        SDMGrad(preference=[1.0, 2.0])(torch.eye(3))
    unnamed = MoDo()
    unnamed(torch.eye(3))
    with pytest.raises(ConfigurationError, match="set up for 3 tasks but was given 6"):
        unnamed(torch.eye(6))
