"""Prospect: unbiased for the risk it keeps tables of, and at rest where a generic solver finds the minimum."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import Tensor, tensor

from accord.aggregation import Prospect
from accord.errors import ConfigurationError
from accord.weighting import SpectralRisk

RNG = np.random.default_rng(0)
CENTRES = torch.from_numpy(RNG.normal(size=(8, 3)))


def losses_at(place: Tensor) -> Tensor:
    return (place - CENTRES).square().sum(dim=1) / 2


def only(*chosen: int) -> Tensor:
    return torch.zeros(8, dtype=torch.bool).index_fill(0, tensor(chosen), True)


def trained(prospect: Prospect, steps: int, rate: float = 0.05) -> Tensor:
    """Descend from a full first step on, one objective at a time."""
    place, draw = torch.zeros(3, dtype=torch.float64), np.random.default_rng(1)
    prospect(place - CENTRES, losses=losses_at(place))
    for _ in range(steps):
        active = only(int(draw.integers(8)))
        place = place - rate * prospect(place - CENTRES, losses=losses_at(place), active=active)
    return place


def test_with_all_objectives_it_is_the_slope_of_the_risk() -> None:
    place = torch.ones(3, dtype=torch.float64)
    rows, losses = place - CENTRES, losses_at(place)
    wanted = SpectralRisk("extremile", 3.0, shift=0.5)(losses) @ rows
    assert torch.allclose(Prospect("extremile", 3.0, shift=0.5)(rows, losses=losses), wanted)


def test_its_mean_over_the_draws_is_the_slope_of_the_tables_risk() -> None:
    prospect = Prospect("extremile", shift=0.2)
    place = trained(prospect, 5)
    rows, losses = place - CENTRES, losses_at(place)
    table = prospect.losses.clone()
    draws = [copy.deepcopy(prospect)(rows, losses=losses, active=only(i, (i + 3) % 8)) for i in range(8)]
    wanted = SpectralRisk("extremile", shift=0.2)(table) @ rows
    assert torch.allclose(torch.stack(draws).mean(dim=0), wanted)
    assert (draws[0] - wanted).norm() > 1e-3 * wanted.norm()


def test_it_converges_to_the_minimum_one_objective_at_a_time() -> None:
    risk = SpectralRisk("extremile", shift=0.3)

    def value(place: np.ndarray) -> tuple[float, np.ndarray]:
        losses = losses_at(torch.from_numpy(place))
        weights = risk(losses)
        worth = float(weights @ losses - 0.3 * 8 * (weights - 1 / 8).square().sum())
        return worth, (weights @ (torch.from_numpy(place) - CENTRES)).numpy()

    best = minimize(value, np.zeros(3), jac=True, tol=1e-12).x
    found = trained(Prospect("extremile", shift=0.3), 400)
    assert found.numpy() == pytest.approx(best, abs=1e-6)
    assert np.linalg.norm(best - CENTRES.mean(dim=0).numpy()) > 0.1  # which the mean would not have found


def test_objectives_count_from_when_they_are_first_seen() -> None:
    prospect, place = Prospect("top_k", shift=0.0), torch.zeros(3, dtype=torch.float64)
    rows, losses = place - CENTRES, losses_at(place)
    for task in range(8):
        direction = prospect(rows, losses=losses, active=only(task))
        assert torch.isfinite(direction).all()
        assert prospect.losses.isnan().sum() == 7 - task
    assert torch.allclose(prospect.gradients, rows)


def test_before_all_were_seen_it_is_unbiased_for_those_that_were() -> None:
    prospect, place = Prospect("extremile", shift=0.2), torch.zeros(3, dtype=torch.float64)
    prospect(place - CENTRES, losses=losses_at(place), active=only(0, 1, 2, 3))
    table, place = prospect.losses[:4].clone(), place + 0.3
    rows, losses = place - CENTRES, losses_at(place)
    draws = [copy.deepcopy(prospect)(rows, losses=losses, active=only(i)) for i in range(4)]
    wanted = SpectralRisk("extremile", shift=0.2)(table) @ rows[:4]
    assert torch.allclose(torch.stack(draws).mean(dim=0), wanted)


def test_what_it_cannot_work_with_is_said() -> None:
    with pytest.raises(ConfigurationError, match="Prospect has no spectrum"):
        Prospect("cvr")  # pyright: ignore[reportArgumentType]
    prospect = Prospect()
    prospect(torch.ones(3, 2))
    with pytest.raises(ConfigurationError, match="remembers gradients"):
        prospect(torch.ones(2, 2))
