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


def test_normal_is_the_softmax_of_normal_numbers() -> None:
    # The log-ratio of two weights is the difference of two normal numbers: variance 2.
    weighting = RandomLossWeighting(seed=1)
    draws = np.stack([weighting(torch.ones(2, dtype=torch.float64)).numpy() for _ in range(3000)])
    ratios = np.log(draws[:, 0] / draws[:, 1])
    assert ratios.var() == pytest.approx(2.0, rel=5 * np.sqrt(2 / len(ratios)))


def test_one_task_per_step_and_never_none() -> None:
    one, some = RandomLossWeighting("one"), RandomLossWeighting("bernoulli")
    for _ in range(50):
        assert sorted(one(torch.ones(4)).tolist()) == [0, 0, 0, 1]
        assert float(some(torch.ones(2)).sum()) == 1


def test_draws_are_the_seeds_own() -> None:
    runs = [RandomLossWeighting(seed=seed)(torch.ones(5)) for seed in (1, 1, 2)]
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])


def test_mistyped_distribution_gets_a_suggestion() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'dirichlet'"):
        RandomLossWeighting("dirichlett")  # pyright: ignore[reportArgumentType]
