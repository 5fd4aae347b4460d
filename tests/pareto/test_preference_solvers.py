"""Solvers for one preference: by hand, against enumeration and closed-form fronts, over bad gradients."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from torch import Tensor

from accord.aggregation import Aggregator
from accord.errors import ConfigurationError
from accord.linalg import min_norm_weights
from accord.pareto import EPO, PMGDA, PMTL, problems
from accord.pareto.epo import adjustments
from accord.pareto.linear_programme import best_mixture, best_worst
from accord.pareto.preference_solver import PreferenceSolver
from accord.testing import check_aggregator
from accord.testing.cases import FAMILIES, Case

families = some.sampled_from([name for name in FAMILIES if name != "zero"])
cases = some.builds(
    Case, families, some.integers(2, 6), some.integers(3, 12), some.sampled_from([-20, 0, 20]), some.integers(0, 2**31)
)


class Shown(Aggregator):
    """A solver that is always shown the same losses, as :func:`accord.backward` would show it this step's."""

    method = EPO.method

    def __init__(self, solver: PreferenceSolver) -> None:
        super().__init__()
        self.solver = solver

    def forward(self, jacobian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        return self.solver(jacobian, losses=torch.full((len(jacobian),), 3.0), active=active)


@pytest.mark.parametrize("solver", [EPO, PMGDA])
def test_the_contract(solver: type[EPO | PMGDA]) -> None:
    check_aggregator(lambda: Shown(solver()), ("unanimous", "within_scale", "non_conflicting"), examples=10)


def drawn(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    losses = torch.from_numpy(case.rng.uniform(0.1, 3.0, case.tasks) * 10.0**case.exponent)
    return case.jacobian(), losses, torch.from_numpy(case.rng.uniform(0.05, 1.0, case.tasks))


def vertices(conditions: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """All corners of the part of the simplex that keeps the conditions."""
    count = conditions.shape[1]
    rows, limits = np.vstack([conditions, np.eye(count)]), np.append(bounds, np.zeros(count))
    found = []
    for chosen in itertools.combinations(range(len(rows)), count - 1):
        system = np.vstack([rows[list(chosen)], np.ones(count)])
        if abs(np.linalg.det(system)) > 1e-9:
            point = np.linalg.solve(system, np.append(limits[list(chosen)], 1.0))
            if (rows @ point >= limits - 1e-9).all():
                found.append(point)
    return np.array(found).reshape(-1, count)


@given(some.integers(2, 4), some.integers(1, 4), some.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_programmes_find_the_best_corner(count: int, rows: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    gain, conditions, bounds = rng.normal(size=count), rng.normal(size=(rows, count)), rng.normal(size=rows) - 0.3
    corners = vertices(conditions, bounds)
    found = best_mixture(gain, conditions, bounds)
    assert (found is None) == (len(corners) == 0)
    if found is not None:
        assert gain @ found == pytest.approx((corners @ gain).max(), abs=1e-6)
        assert (conditions @ found >= bounds - 1e-6).all() and (found >= 0).all()
        # Of the worst of several gains, no corner is known, but no mixture of corners may do better.
        rates = rng.normal(size=(3, count))
        worst = best_worst(rates, conditions, bounds)
        assert worst is not None and (conditions @ worst >= bounds - 1e-6).all()
        others = rng.dirichlet(np.ones(len(corners)), 50) @ corners
        assert (rates @ worst).min() >= (others @ rates.T).min(axis=1).max() - 1e-6


def test_epo_by_hand() -> None:
    # Shares 3/4 and 1/4: the log terms are log 1.5 and log 0.5, and mu is their mean under the shares.
    unevenness, pull = adjustments(np.array([1.5, 0.5]), np.array([0.5, 0.5]))
    mu = 0.75 * np.log(1.5) + 0.25 * np.log(0.5)
    assert unevenness == pytest.approx(mu)
    assert pull == pytest.approx(0.5 * (np.log([1.5, 0.5]) - mu))
    # At right angles the balance programme puts everything on the task whose loss is too large.
    gradients = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    assert EPO().weights(gradients, losses=torch.tensor([3.0, 1.0])).tolist() == [1.0, 0.0]
    # A preference of 1 to 3 makes the same losses 3 * 1 = 1 * 3 balanced: then both descend, and all weights tie.
    assert EPO([1.0, 3.0]).weights(gradients, losses=torch.tensor([3.0, 1.0])).sum() == pytest.approx(1.0)
    # Opposed gradients: the only mixtures under which nobody rises cancel out.
    opposed = torch.tensor([[1.0, -2.0], [-2.0, 4.0]], dtype=torch.float64)
    assert EPO().weights(opposed, losses=torch.ones(2)).tolist() == pytest.approx([2 / 3, 1 / 3])


@given(cases)
@settings(max_examples=60, deadline=None)
def test_epo_keeps_its_conditions_at_any_scale(case: Case) -> None:
    jacobian, losses, preference = drawn(case)
    scaled = (jacobian / 10.0**case.exponent).numpy()
    gramian = scaled @ scaled.T
    weights = EPO(preference).weights(torch.from_numpy(gramian), losses=losses).numpy()
    assert (weights >= -1e-12).all() and weights.sum() == pytest.approx(1.0)
    preference = (preference / preference.sum()).numpy()
    weighted = preference * losses.numpy()
    unevenness, pull = adjustments(weighted, preference)
    direction, progress = weights @ scaled, gramian @ pull / np.diagonal(gramian).max()
    lengths = np.linalg.norm(scaled, axis=1) * np.linalg.norm(direction) + 1e-300
    cosines = scaled @ direction / lengths
    if unevenness > 1e-4 and (progress > 0).any():
        bound = np.where(progress > 0, -np.inf, progress)
        bound[weighted.argmax()] = 0.0
        allowed = bound * np.diagonal(gramian).max() / lengths
    else:
        allowed = np.zeros(case.tasks)
    # The direction of gradients that cancel out is rounding, to one part in 10^12 of the longest.
    if np.linalg.norm(direction) > 1e-6 * np.abs(scaled).max():
        assert (cosines >= allowed - 1e-5).all()
    again = EPO(preference).weights(torch.from_numpy(gramian * 4.0**10), losses=losses * 8).numpy()
    assert again == pytest.approx(weights, abs=1e-6)


@given(cases)
@settings(max_examples=60, deadline=None)
def test_pmgda_keeps_to_the_ray_or_returns_to_it(case: Case) -> None:
    jacobian, losses, preference = drawn(case)
    scaled = (jacobian / 10.0**case.exponent).numpy()
    gramian = scaled @ scaled.T
    ray = (1 / preference / (1 / preference).norm()).numpy()
    off = PMGDA(preference).weights(torch.from_numpy(gramian), losses=losses).numpy()
    away = losses.numpy() - losses.numpy() @ ray * ray
    slope = away / np.linalg.norm(away)
    if np.linalg.norm(away) > 0.01 * float(losses.norm()) and np.linalg.norm(slope @ scaled) > 1e-6 * abs(scaled).max():
        direction, back = off @ scaled, slope @ scaled
        # The mixture of unit vectors, before it is brought to the mean length, falls at sigma of the fastest rate.
        unit = direction / np.linalg.norm(scaled, axis=1).mean()
        assert unit @ back / np.linalg.norm(back) >= 0.95 - 1e-5
        assert np.linalg.norm(unit) <= 1 + 1e-6
    # A hair off the ray: nothing of the step along the way back.
    nearly = torch.from_numpy(ray + 1e-3 * slope)
    on = PMGDA(preference).weights(torch.from_numpy(gramian), losses=nearly).numpy()
    assert abs(on @ gramian @ slope) <= 1e-5 * np.diagonal(gramian).max() * (1 + np.abs(on).sum())


def test_pmgda_by_hand() -> None:
    gradients = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    # On the ray, MGDA; a little off it, the same projected across (1, -1) / sqrt 2, which changes nothing here.
    assert PMGDA().weights(gradients, losses=torch.tensor([1.0, 1.0])).tolist() == pytest.approx([0.5, 0.5])
    assert PMGDA().weights(gradients, losses=torch.tensor([1.001, 1.0])).tolist() == pytest.approx([0.5, 0.5])
    # Far off: the whole way back is (1, -1) / sqrt 2, with sigma = 1.
    back = PMGDA(sigma=1.0).weights(gradients, losses=torch.tensor([3.0, 1.0])).tolist()
    assert back == pytest.approx([0.5**0.5, -(0.5**0.5)])


def test_pmtl_by_hand() -> None:
    gradients = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    solver = PMTL([[0.2, 0.8], [0.8, 0.2]], index=0, search=2)
    # The first preference asks for a low second loss. It is too high: u_1 - u_0 is along (-1, 1).
    weights = solver.weights(gradients, losses=torch.tensor([1.0, 3.0]))
    assert weights[0] == -weights[1] and weights[1] > 0
    assert not solver.settled
    # In its slice it settles for good and descends by MGDA.
    assert solver.weights(gradients, losses=torch.tensor([3.0, 1.0])).tolist() == pytest.approx([0.5, 0.5])
    assert bool(solver.settled)
    # Out again: the shortest of (1, 0), (0, 1) and c (-1, 1), with c = 3 / sqrt 17, and |weights| sum to 1.
    c = 3 / 17**0.5
    found = solver.weights(gradients, losses=torch.tensor([1.0, 3.0])).numpy()
    share = min_norm_weights(np.array([[1, 0, -c], [0, 1, c], [-c, c, 2 * c * c]]))
    wanted = share[:2] + share[2] * np.array([-c, c])
    assert found == pytest.approx(wanted / np.abs(wanted).sum())
    resumed = PMTL([[0.2, 0.8], [0.8, 0.2]], index=0, search=2)
    resumed.load_state_dict(solver.state_dict())
    assert bool(resumed.settled)


def descend(solver: Aggregator, problem: problems.Problem, steps: int, rate: float) -> Tensor:
    x = torch.full((problem.variables,), 0.15, dtype=torch.float64)
    for _ in range(steps):
        x.requires_grad_()
        losses = problem.objectives(x)
        rows = torch.stack([torch.autograd.grad(loss, x, retain_graph=True)[0] for loss in losses])
        x = (x - rate * solver(rows, losses=losses.detach())).detach()
    return problem.objectives(x)


@pytest.mark.parametrize("first", [0.2, 0.5, 0.7])
@pytest.mark.parametrize("kind", [EPO, PMGDA])
def test_they_end_on_the_ray_and_on_a_concave_front(kind: type[EPO | PMGDA], first: float) -> None:
    problem = problems.vlmop2()
    losses = descend(kind([first, 1 - first]), problem, 80, 0.15)
    front = problem.front(4001)
    assert (front - losses).abs().amax(dim=1).min() < 0.01
    weighted = losses * torch.tensor([first, 1 - first])
    assert float(weighted.max() / weighted.min()) < 1.05


def test_pmtl_ends_in_its_slice_of_the_front() -> None:
    problem = problems.vlmop2()
    preferences = [[0.9, 0.1], [0.5, 0.5], [0.1, 0.9]]
    for index in range(3):
        losses = descend(PMTL(preferences, index, search=50), problem, 80, 0.15)
        assert (problem.front(4001) - losses).abs().amax(dim=1).min() < 0.02
        rays = 1 / torch.tensor(preferences, dtype=torch.float64)
        nearness = (rays / rays.norm(dim=1, keepdim=True)) @ (losses / losses.norm())
        assert nearness[index] >= nearness.max() - 0.02


def test_bad_input_is_named() -> None:
    with pytest.raises(ConfigurationError, match="rather than 0 for a task"):
        EPO([0.0, 1.0])
    with pytest.raises(ConfigurationError, match="3 entries but there are 2"):
        EPO([1.0, 1.0, 1.0]).weights(torch.eye(2), losses=torch.ones(2))
    with pytest.raises(ConfigurationError, match="PMGDA steers by the losses, and got none"):
        PMGDA().weights(torch.eye(2))
    with pytest.raises(ConfigurationError, match="one of the 2 preferences; got 2"):
        PMTL([[0.5, 0.5], [0.2, 0.8]], index=2)
    for wrong in (lambda: EPO(tolerance=0), lambda: PMGDA(tolerance=1), lambda: PMGDA(sigma=0), lambda: PMTL([1.0], 0)):
        with pytest.raises(ConfigurationError):
            wrong()
