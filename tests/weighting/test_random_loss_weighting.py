from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
import torch

from accord.errors import ConfigurationError
from accord.weighting import RandomLossWeighting
from accord.weighting.random_loss_weighting import Distribution

NAMES = get_args(Distribution)


@pytest.mark.parametrize("name", NAMES)
def test_its_mean_is_plain_averaging(name: Distribution) -> None:
    weighting = RandomLossWeighting(name, seed=3)
    draws = np.stack([weighting(torch.ones(3, dtype=torch.float64)).numpy() for _ in range(1500)])
    assert draws.min() >= 0
    assert draws.sum(axis=1) == pytest.approx(np.ones(len(draws)))
    error = draws.std(axis=0) / np.sqrt(len(draws))
    assert error.min() > 0
    assert (np.abs(draws.mean(axis=0) - 1 / 3) < 5 * error).all()


@pytest.mark.parametrize(("name", "variance", "fourth"), [("normal", 2.0, 12.0), ("uniform", 1 / 6, 1 / 15)])
def test_it_is_the_softmax_of_such_numbers(name: Distribution, variance: float, fourth: float) -> None:
    # The log-ratio of two weights is the difference of two draws, whose moments are known.
    weighting = RandomLossWeighting(name, seed=1)
    draws = np.stack([weighting(torch.ones(2, dtype=torch.float64)).numpy() for _ in range(3000)])
    ratios = np.log(draws[:, 0] / draws[:, 1])
    assert ratios.var() == pytest.approx(variance, abs=5 * np.sqrt((fourth - variance**2) / len(ratios)))


def test_one_task_per_step_and_never_none() -> None:
    one, some = RandomLossWeighting("one"), RandomLossWeighting("bernoulli")
    for _ in range(50):
        assert sorted(one(torch.ones(4)).tolist()) == [0, 0, 0, 1]
        assert float(some(torch.ones(2)).sum()) == 1


def test_what_is_drawn_is_what_its_name_says() -> None:
    ones, draws = torch.ones(2, dtype=torch.float64), 3000
    # Uniform on the simplex of two is uniform in [0, 1]: variance 1/12, fourth moment about the mean 1/80.
    flat = RandomLossWeighting("dirichlet", seed=2)
    first = np.array([float(flat(ones)[0]) for _ in range(draws)])
    assert first.var() == pytest.approx(1 / 12, abs=5 * np.sqrt((1 / 80 - 1 / 144) / draws))
    # Of two tasks at even odds, both in is one of three outcomes, none being no draw.
    even = RandomLossWeighting("bernoulli", seed=2)
    both = np.mean([bool((even(ones) == 0.5).all()) for _ in range(draws)])
    assert both == pytest.approx(1 / 3, abs=5 * np.sqrt(2 / 9 / draws))


@pytest.mark.parametrize("name", NAMES)
def test_draws_are_among_the_tasks_that_are_there(name: Distribution) -> None:
    weighting, active = RandomLossWeighting(name), torch.tensor([False, True, False, True])
    for _ in range(20):
        weights = weighting(torch.ones(4, dtype=torch.float64), active=active)
        assert float(weights[active].sum()) == pytest.approx(1.0) and not weights[~active].any()


def test_draws_are_the_seeds_own() -> None:
    runs = [RandomLossWeighting(seed=seed)(torch.ones(5)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_mistyped_distribution_gets_a_suggestion() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'dirichlet'"):
        RandomLossWeighting("dirichlett")  # pyright: ignore[reportArgumentType]
