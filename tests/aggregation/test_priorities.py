"""The two methods with a primary task: orthogonal gradients and priority-constrained descent."""

from __future__ import annotations

import math
from itertools import chain, combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import tensor

import accord
from accord.aggregation import PCD, OrthogonalGradient
from accord.errors import ConfigurationError
from accord.linalg import least_distance

seeds = some.integers(0, 2**31)
EPS = float(np.finfo(np.float64).eps)


def gradients(seed: int, tasks: int, parameters: int, decades: float = 3.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((tasks, parameters)) * 10.0 ** rng.uniform(-decades, decades, (tasks, 1))


def test_orthogonal_gradient_by_hand() -> None:
    # (-3, 4) loses its part along (2, 0).
    assert OrthogonalGradient()(tensor([[2.0, 0.0], [-3.0, 4.0]])).tolist() == [2.0, 4.0]
    # It does so where it agrees, too, which gradient surgery would leave alone.
    assert OrthogonalGradient(0.5)(tensor([[2.0, 0.0], [3.0, 4.0]])).tolist() == [2.0, 2.0]
    # Two others: (0, 4, 0) and (0, 0, 6), their mean.
    rows = tensor([[2.0, 0.0, 0.0], [-3.0, 4.0, 0.0], [1.0, 0.0, 6.0]])
    assert OrthogonalGradient()(rows).tolist() == pytest.approx([2.0, 2.0, 3.0])
    # Nothing to give way to.
    assert OrthogonalGradient()(tensor([[0.0, 0.0], [-3.0, 4.0]])).tolist() == [-3.0, 4.0]


@given(seeds, some.integers(2, 9), some.integers(9, 20), some.sampled_from([1e-20, 1.0, 1e20]))
@settings(max_examples=40, deadline=None)
def test_the_first_loss_falls_as_if_it_were_alone(seed: int, tasks: int, parameters: int, scale: float) -> None:
    rows = gradients(seed, tasks, parameters, decades=2) * scale
    first = rows[0] / np.linalg.norm(rows[0])
    found = OrthogonalGradient(eta=0.7)(torch.from_numpy(rows)).numpy()
    # Gram-Schmidt on the vectors themselves, one by one.
    wanted = rows[0] + 0.7 * np.mean([row - (row @ first) * first for row in rows[1:]], axis=0)
    unit = np.linalg.norm(rows, axis=1).max()
    assert np.linalg.norm(found - wanted) < 1e-12 * unit
    assert abs(found @ first - np.linalg.norm(rows[0])) < 1e-12 * unit


def test_the_value_update_of_odice() -> None:
    """One step of the authors' update (flat Gram-Schmidt over two backward passes), on a linear value function."""
    torch.manual_seed(0)
    value = torch.nn.Linear(4, 1).double()
    state, following = torch.randn(2, 8, 4, dtype=torch.float64)

    def losses() -> list[torch.Tensor]:
        here, there = value(state), value(following)
        forward = (1.0 + 0.9 * there.detach() - here).square().mean()
        backward = (1.0 + 0.9 * there - here.detach()).square().mean()
        return [forward, backward]

    forward, backward = (
        torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(value.parameters()))]) for loss in losses()
    )
    wanted = (1 - forward @ backward / (forward @ forward)) * forward + backward
    accord.backward(losses(), shared=value.parameters(), balancer=OrthogonalGradient())
    found = torch.cat([p.grad.flatten() for p in value.parameters() if p.grad is not None])
    assert torch.allclose(found, wanted, rtol=1e-12)


def test_pcd_by_hand() -> None:
    # Equal lengths 1, so h = g. (0, 1) has no progress along (1, 0), and is to have tau of it: (tau, 1), length 1.
    found = PCD(tau=0.5)(tensor([[0.0, 1.0], [1.0, 0.0]]))
    assert found.tolist() == pytest.approx([0.5 / math.sqrt(1.25), 1 / math.sqrt(1.25)])
    # Of another length, the second task asks for the same: its unit does not matter, only the first one's length does.
    assert PCD(tau=0.5)(tensor([[0.0, 3.0], [1e-3, 0.0]])).tolist() == pytest.approx([3 * float(x) for x in found])
    # Progress enough along (1, 1) already.
    assert PCD(tau=0.5)(tensor([[0.0, 1.0], [1.0, 1.0]])).tolist() == [0.0, 1.0]
    # Two opposed tasks cannot both progress, and the constraints are dropped.
    assert PCD()(tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, 0.0]])).tolist() == [0.0, 1.0]
    # They need not, with tau 0.
    pinned = tensor([[0.2, 1.0], [1.0, 0.0], [-1.0, 0.0]])
    assert PCD(tau=0.0)(pinned).tolist() == pytest.approx([0.0, math.sqrt(1.04)], abs=1e-7)
    assert PCD()(tensor([[0.0, 0.0], [1.0, 0.0]])).tolist() == [0.0, 0.0]


def by_enumeration(rows: np.ndarray, tau: float) -> np.ndarray | None:
    """The programme by trying every set of binding constraints, as the paper's appendix does; None: none holds."""
    units = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    best = None
    others = range(1, len(rows))
    for bound in chain.from_iterable(combinations(others, size) for size in range(len(rows))):
        binding = units[list(bound)]
        missing = tau - binding @ units[0]
        towards = units[0] + (np.linalg.lstsq(binding, missing, rcond=None)[0] if bound else 0.0)
        if (units[1:] @ towards >= tau - 1e-9).all():
            gap = float(np.linalg.norm(towards - units[0]))
            best = min(best, (gap, tuple(towards))) if best else (gap, tuple(towards))
    return None if best is None else np.array(best[1])


@given(seeds, some.integers(2, 6), some.floats(0.0, 1.0), some.sampled_from([1e-20, 1.0, 1e20]))
@settings(max_examples=60, deadline=None)
def test_pcd_is_the_nearest_direction_that_keeps_the_promise(seed: int, tasks: int, tau: float, scale: float) -> None:
    rows = gradients(seed, tasks, 8) * scale
    wanted = by_enumeration(rows, tau)
    found = PCD(tau=tau)(torch.from_numpy(rows)).numpy()
    length = np.linalg.norm(rows[0])
    assert wanted is not None, "eight coordinates have room for six independent gradients"
    assert found / length == pytest.approx(wanted / np.linalg.norm(wanted), abs=1e-8)
    assert np.linalg.norm(found) == pytest.approx(length)


def test_pcd_remembers_lengths() -> None:
    rng = np.random.default_rng(0)
    aggregator, means, beta = PCD(tau=0.3, beta=0.9), np.zeros(3), 0.9
    for step in range(1, 6):
        rows = gradients(step, 3, 5, decades=1)
        means = beta * means + (1 - beta) * np.linalg.norm(rows, axis=1) ** 2
        scaled = rows / np.sqrt(means / (1 - beta**step))[:, None]
        found = aggregator(torch.from_numpy(rows)).numpy()
        assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(rows[0]))
        # Optimal: a non-negative combination that adds to h_1 only what binds.
        lengths = (scaled**2).sum(axis=1)
        # On the ray of d, the nearest point to h_1 for which all constraints hold is h_1 plus multipliers times h_j.
        system = np.linalg.lstsq(np.vstack([scaled[1:], found]).T, scaled[0], rcond=None)[0]
        multipliers, ray = -system[:2], system[2] * found
        assert (multipliers > -1e-9).all()
        slack = scaled[1:] @ ray - 0.3 * lengths[1:]
        assert (slack > -1e-9 * lengths[1:]).all() and np.abs(slack * multipliers).max() < 1e-9 * lengths.max()
    before = aggregator.squares.clone(), aggregator.steps.clone()
    aggregator(torch.from_numpy(rng.standard_normal((3, 5))), active=tensor([True, False, True]))
    assert aggregator.steps.tolist() == [6, 5, 6] and aggregator.squares[1] == before[0][1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_objectives_that_exclude_each_other_are_dropped_in_any_precision(dtype: torch.dtype) -> None:
    # Three secondary gradients around a plane leave no direction to all of them; rounding must not be a way out of it.
    axes = torch.randn(2, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for turn in range(12):
        angles = torch.tensor([0.0, 2.0, 4.0, 1.0], dtype=torch.float64)[:, None] + turn
        rows = (torch.cat([angles.cos(), angles.sin()], dim=1) @ axes)[[3, 0, 1, 2]] * torch.tensor(
            [[1.0], [3.0], [0.1], [50.0]]
        )
        found = PCD()(rows.to(dtype)).double()
        assert (found - rows[0]).norm() < 1e-5 * rows[0].norm()


def test_shortest_vectors_and_where_there_is_none() -> None:
    opposed = np.array([[1.0, -1.0], [-1.0, 1.0]])
    assert least_distance(opposed, np.array([1.0, 1.0]), EPS) is None
    assert least_distance(opposed, np.array([1.0, -1.0]), EPS) == pytest.approx([1.0, 0.0])
    assert least_distance(opposed, np.array([-1.0, 0.0]), EPS) == pytest.approx([0.0, 0.0])
    assert least_distance(np.zeros((0, 0)), np.zeros(0), EPS) is not None


def test_options_and_sizes_are_checked() -> None:
    for make, name in ((OrthogonalGradient, "eta"), (PCD, "tau"), (PCD, "beta")):
        for wrong in (-0.1, math.nan, math.inf):
            with pytest.raises(ConfigurationError, match=name):
                make(**{name: wrong})
    aggregator = PCD()
    aggregator(torch.eye(3))
    with pytest.raises(ConfigurationError, match="set up for 3 tasks"):
        aggregator(torch.eye(2))
