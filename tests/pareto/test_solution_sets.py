"""Solvers for a set of solutions: by hand, against the automatic derivative, and on closed-form fronts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import minimize
from torch import Tensor, tensor

from accord.errors import ConfigurationError, DataError
from accord.pareto import MOOSVGD, HypervolumeGradient, hypervolume, igd_plus, problems

moocore = pytest.importorskip("moocore")


def test_weights_by_hand() -> None:
    weigh = HypervolumeGradient([4.0, 4.0])
    # Facets of (1, 3): 1 across each axis; of (2, 1): 2 across each. (3, 3) is a front of its own: 1 across each.
    points = tensor([[1.0, 3.0], [2.0, 1.0], [3.0, 3.0]])
    torch.testing.assert_close(weigh(points), torch.full((3, 2), 0.5**0.5))
    # (0, 3) and (2, 2), each: 1 high up to the other or the reference, and 2 wide.
    found = weigh(tensor([[0.0, 3.0], [2.0, 2.0]]))
    torch.testing.assert_close(found, tensor([[1.0, 2.0], [1.0, 2.0]]) / 5**0.5)
    # The reference gives way to a point beyond it: 1.1 times 5, which leaves widths of 5.5 - 0 and so on.
    assert weigh(tensor([[5.0, 5.0]])).tolist() == [[pytest.approx(0.5**0.5)] * 2]
    assert weigh(tensor([[-5.0, -5.0]])).tolist() == [[pytest.approx(0.5**0.5)] * 2]


@given(some.integers(2, 4), some.integers(1, 12), some.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_weights_are_slopes_of_each_fronts_volume(objectives: int, count: int, seed: int) -> None:
    points = torch.rand(count, objectives, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    doubled = torch.cat([points, points[:1]])
    weights = HypervolumeGradient([2.0] * objectives)(doubled)
    assert torch.equal(weights[0], weights[-1])
    torch.testing.assert_close(weights.norm(dim=1), torch.ones(count + 1, dtype=torch.float64))
    left = list(range(count))
    while left:
        front = [i for i in left if not any(bool((points[j] <= points[i]).all()) and i != j for j in left)]
        variable = points[front].clone().requires_grad_()
        hypervolume(variable, [2.0] * objectives).backward()
        assert variable.grad is not None
        torch.testing.assert_close(weights[front], -variable.grad / variable.grad.norm(dim=1, keepdim=True))
        left = [i for i in left if i not in front]


def formula(jacobians: Tensor, objectives: Tensor, directions: Tensor, width: float, repulsion: float) -> Tensor:
    found = torch.zeros_like(directions)
    for i in range(len(objectives)):
        for j in range(len(objectives)):
            gap = objectives[i] - objectives[j]
            kernel = math.exp(-float(gap.square().sum()) / width)
            found[i] += kernel * directions[j] - repulsion * 2 / width * kernel * (gap @ jacobians[i])
    return found / len(objectives)


def test_moo_svgd_by_hand() -> None:
    # The shortest mixture of (1, 0) and (0, 1) is (1, 1) / 2, and of (2, 0) and (0, 2) is (1, 1).
    jacobians = torch.stack([torch.eye(2), 2 * torch.eye(2)])
    objectives = tensor([[0.0, 1.0], [1.0, 0.0]])
    wanted = formula(jacobians, objectives, tensor([[0.5, 0.5], [1.0, 1.0]]), 2 / math.log(2), 0.3)
    torch.testing.assert_close(MOOSVGD(0.3)(jacobians, objectives), wanted)
    # Alone or all alike, nothing repels.
    assert MOOSVGD()(jacobians[:1], objectives[:1]).tolist() == [[0.5, 0.5]]
    assert MOOSVGD()(jacobians, objectives[:1].expand(2, -1)).tolist() == [[0.75, 0.75]] * 2


def test_its_repulsion_is_the_kernels_slope() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    objectives = torch.stack([x.square().sum(1), (x - 1).square().sum(1)], dim=1)
    rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in objectives.T]
    squares = (objectives[:, None] - objectives).square().sum(-1)
    pairs = squares.detach()[torch.triu_indices(5, 5, 1).unbind()].sort().values
    kernel = torch.exp(-squares / ((pairs[4] + pairs[5]) / 2 / math.log(5)))
    (slope,) = torch.autograd.grad(kernel.sum(), x)
    jacobians = torch.stack(rows, dim=1)
    found = MOOSVGD(1.0)(jacobians, objectives.detach()) - MOOSVGD(0.0)(jacobians, objectives.detach())
    torch.testing.assert_close(found, slope / 2 / 5)


@pytest.mark.parametrize("problem", [problems.vlmop1(2), problems.vlmop2()], ids=lambda problem: problem.name)
def test_it_finds_the_best_places_on_a_front(problem: problems.Problem) -> None:
    generator, weigh = torch.Generator().manual_seed(0), HypervolumeGradient([1.1, 1.1])
    x = torch.rand(6, problem.variables, generator=generator, dtype=torch.float64) * 0.6 + 0.2
    for step in range(300):
        x.requires_grad_()
        points = problem.objectives(x)
        (slope,) = torch.autograd.grad((weigh(points.detach()) * points).sum(), x)
        x = (x - 0.2 * 0.985**step * slope).detach()

    # The same places by a search without derivatives along the curve that the front is known to be.
    curve = problem.front(2001)

    def missed(places: np.ndarray) -> float:
        rows = np.clip(places * 2000, 0, 2000)
        points = np.stack([np.interp(rows, np.arange(2001), column) for column in curve.T.numpy()], axis=1)
        return -moocore.hypervolume(points, [1.1, 1.1])

    best = -minimize(missed, np.linspace(0.05, 0.95, 6), method="Powell").fun
    assert float(hypervolume(problem.objectives(x), [1.1, 1.1])) > 0.995 * best


def test_svgd_takes_solutions_to_the_front_and_apart() -> None:
    problem = problems.vlmop1(2)
    x = torch.rand(6, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.1 - 1.0
    for _ in range(200):
        x.requires_grad_()
        points = problem.objectives(x)
        rows = [torch.autograd.grad(column.sum(), x, retain_graph=True)[0] for column in points.T]
        x = (x - 0.1 * MOOSVGD(0.05)(torch.stack(rows, dim=1), points.detach())).detach()
    points = problem.objectives(x)
    assert igd_plus(problem.front(50), points) < 0.02, "off the front"
    assert torch.pdist(points).min() > 0.01 and points[:, 0].max() - points[:, 0].min() > 0.3, "on one heap"


def test_bad_input_is_named() -> None:
    with pytest.raises(DataError, match="each of 2 objectives"):
        HypervolumeGradient([1.0])(torch.zeros(3, 2))
    with pytest.raises(DataError, match="finite"):
        HypervolumeGradient([1.0, 1.0])(torch.full((1, 2), torch.nan))
    with pytest.raises(DataError, match=r"got \[2, 2\]"):
        MOOSVGD()(torch.zeros(2, 2), torch.zeros(2, 2))
    with pytest.raises(DataError, match="leave that solution out"):
        MOOSVGD()(torch.full((1, 2, 3), torch.nan), torch.zeros(1, 2))
    with pytest.raises(ConfigurationError, match="repulsion must be"):
        MOOSVGD(-1.0)
