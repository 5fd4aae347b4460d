"""Sets that are trained together: where they start, how one step moves them, which preference each gets."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from accord.pareto import MOOSVGD, HypervolumeGradient, simplex_grid
from accord.steering.together import Together, best_places, shaken

SCALE = torch.tensor([2.0, 0.5])
POINTS = torch.tensor([[0.2, 0.6], [0.5, 0.3]])


class Losses(nn.Module):
    """A network whose weights are its losses."""

    def __init__(self, values: Tensor) -> None:
        super().__init__()
        self.values = nn.Parameter(values.clone())


class Seen:
    """A batch that reads them off."""

    def __init__(self, present: tuple[bool, bool] = (True, True)) -> None:
        self.present = torch.tensor(present)

    def losses(self, network: Losses) -> tuple[Tensor, Tensor]:
        return torch.where(self.present, network.values, 0.0), self.present


def learner(rule: Any, points: Tensor = POINTS) -> Together:
    found = Together(Losses(torch.ones(2)), len(points), rule, SCALE.double(), seed=0)  # type: ignore[arg-type]
    for network, point in zip(found.model, points, strict=True):
        network.values.data = point * SCALE
    return found


def gradients(found: Together) -> Tensor:
    return torch.stack([network.values.grad for network in found.model])


def step(found: Together, batch: Seen | None = None) -> tuple[Tensor, Tensor]:
    return found.descend(batch or Seen(), torch.Generator(), 0.5)  # type: ignore[arg-type]


def test_a_step_grows_the_hypervolume_of_losses_in_units_of_no_skill() -> None:
    """Facets by hand, reference 1: of (0.2, 0.6) they are 0.4 and 0.3 long, of (0.5, 0.3) 0.3 and 0.5."""
    found = learner(HypervolumeGradient([1.0, 1.0]))
    means, present = step(found)
    weights = torch.tensor([[0.8, 0.6], [0.3 / math.sqrt(0.34), 0.5 / math.sqrt(0.34)]])
    assert torch.allclose(gradients(found), weights / SCALE, atol=1e-6)
    assert torch.allclose(means, POINTS.mean(0) * SCALE) and present.all()


def test_a_step_of_moo_svgd_is_its_own() -> None:
    rule = MOOSVGD(0.1)
    found = learner(rule)
    step(found)
    jacobians = torch.diag(1 / SCALE).expand(2, 2, 2)
    assert torch.allclose(gradients(found), rule(jacobians, POINTS), atol=1e-6)


@pytest.mark.parametrize("rule", [HypervolumeGradient([1.0, 1.0]), MOOSVGD(0.1)])
def test_a_task_without_labels_moves_nothing_and_an_infinite_loss_no_one(rule: Any) -> None:
    found = learner(rule)
    step(found, Seen((True, False)))
    assert not gradients(found)[:, 1].any() and gradients(found)[:, 0].any()
    found = learner(rule, torch.tensor([[0.2, 0.6], [0.5, math.inf]]))
    means, _ = step(found)
    assert all(network.values.grad is None for network in found.model) and means[1] == math.inf


def test_networks_start_a_little_apart_and_always_the_same_way() -> None:
    network = nn.Sequential(nn.Linear(50, 40), nn.Linear(40, 3))
    first, second = shaken(network, 3, 7), shaken(network, 3, 7)  # type: ignore[arg-type]
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    away = [(own[0].weight - network[0].weight).norm() / network[0].weight.norm() for own in first]  # type: ignore[index, union-attr, operator]
    assert all(0.09 < distance < 0.11 for distance in away)
    assert not torch.equal(first[0][0].weight, first[1][0].weight)  # type: ignore[index]


def test_each_preference_gets_the_solution_that_speaks_for_it() -> None:
    # Along a front of two, in order; (0.5, 0.1) is best at the second task, whose preference of 1 comes first.
    losses = torch.tensor([[0.1, 0.8], [0.5, 0.1], [0.2, 0.2]], dtype=torch.float64)
    assert best_places(losses, simplex_grid(2, 2)) == [1, 2, 0]
    # What is not finite or worst at everything gets what is left.
    worse = torch.tensor([[math.nan, math.nan], [0.5, 0.1], [0.1, 0.5]], dtype=torch.float64)
    assert best_places(worse, simplex_grid(2, 2)) == [1, 0, 2]


def test_a_task_that_no_average_can_miss_is_taken_as_it_is() -> None:
    found = Together(Losses(torch.ones(2)), 2, MOOSVGD(0.1), torch.tensor([2.0, 0.0]), seed=0)  # type: ignore[arg-type]
    assert found.scale.tolist() == [2.0, 1.0]
    step(found)
    assert gradients(found).isfinite().all()


def test_a_task_that_nobody_has_a_loss_of_says_nothing() -> None:
    losses = torch.tensor([[1.0, math.nan], [2.0, math.nan]], dtype=torch.float64)
    assert best_places(losses, simplex_grid(2, 1)) == [1, 0]  # the first is best at the first task


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(*[st.floats(0, 10)] * 3), min_size=6, max_size=6, unique=True),
    st.permutations(range(6)),
)
def test_places_are_a_permutation_and_forget_units(losses: list[tuple[float, ...]], order: list[int]) -> None:
    values, preferences = torch.tensor(losses, dtype=torch.float64), simplex_grid(3, 2)
    places = best_places(values, preferences)
    assert sorted(places) == list(range(6))
    scaled = best_places(4.0 * values, preferences)
    assert scaled == places
    cost = distance(values, preferences, places)
    assert cost <= distance(values, preferences, order) + 1e-9


def distance(losses: Tensor, preferences: Tensor, places: list[int]) -> float:
    """The sum of squares that the docstring speaks of, for any matching."""
    total = 0.0
    low, high = losses.min(0).values, losses.max(0).values
    for preference, place in zip(preferences, places, strict=True):
        merit = [
            float((h - x) / (h - lo)) if h > lo else 0.0 for x, lo, h in zip(losses[place], low, high, strict=True)
        ]
        said = [m / sum(merit) if sum(merit) > 0 else 1 / 3 for m in merit]
        total += sum((float(p) - s) ** 2 for p, s in zip(preference, said, strict=True))
    return total
