"""Hedge against the paper's algorithm, step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import Hedge


def test_the_first_steps_by_hand() -> None:
    weighting = Hedge(beta=0.5, floor=0.2)
    assert weighting(tensor([0.0, 1.0])).tolist() == [0.5, 0.5]
    assert weighting(tensor([0.0, 3.0])).tolist() == pytest.approx([2 / 3, 1 / 3])
    # 1/3 is discounted to 1/24, below the floor 0.1.
    assert weighting.trust.tolist() == pytest.approx([(2 / 3) / (2 / 3 + 0.1), 0.1 / (2 / 3 + 0.1)])


def test_it_is_the_papers_algorithm() -> None:
    rng = np.random.default_rng(0)
    weighting, alpha = Hedge(), np.full(5, 0.2)
    for losses in rng.uniform(0, 3, (200, 5)):
        assert weighting(torch.from_numpy(losses)).numpy() == pytest.approx(alpha, rel=1e-9)
        alpha = np.maximum(alpha * 0.99**losses, 0.2 / 5)
        alpha = alpha / alpha.sum()


def test_it_regrets_little_against_the_best_head() -> None:
    rng = np.random.default_rng(1)
    weighting, paid, heads = Hedge(floor=0.0), 0.0, np.zeros(4)
    for _ in range(1500):
        losses = rng.uniform(0, 1, 4) * np.array([1.0, 0.8, 0.5, 0.9])
        paid += float(weighting(torch.from_numpy(losses)) @ torch.from_numpy(losses))
        heads += losses
    # The bound of Hedge: (best log(1/beta) + log T) / (1 - beta).
    assert paid <= (heads.min() * -math.log(0.99) + math.log(4)) / 0.01


def test_a_head_that_is_away_keeps_its_trust() -> None:
    weighting = Hedge(beta=0.5)
    weighting(tensor([0.0, 1.0, 2.0]))
    before = weighting.trust.clone()
    weighting(tensor([0.0, math.nan, 1.0]), active=tensor([True, False, True]))
    assert weighting.trust[1] == before[1] and weighting.trust[0] > before[0]
    assert float(weighting.trust.sum()) == pytest.approx(1)


def test_the_floor_is_a_share_of_all_heads_whoever_is_there() -> None:
    weighting = Hedge(beta=0.5, floor=0.3)
    weighting(tensor([0.0, 10.0, math.nan]), active=tensor([True, True, False]))
    # 1/3 is discounted to almost nothing and held at 0.3 / 3; the two keep their 2/3 together.
    assert weighting.trust.tolist() == pytest.approx([2 / 3 * 10 / 13, 2 / 3 * 3 / 13, 1 / 3])


def test_losses_beyond_measure_leave_a_judgement_of_none() -> None:
    for floor in (0.0, 0.2):
        weighting = Hedge(floor=floor)
        weighting(tensor([1e20, 2e20]))
        assert weighting.trust.tolist() == [0.5, 0.5]


def test_what_it_cannot_work_with_is_said() -> None:
    with pytest.raises(ConfigurationError, match="negative"):
        Hedge()(tensor([1.0, -1.0]))
    for options in ({"beta": 1.0}, {"beta": 0.0}, {"floor": 1.0}, {"floor": -0.1}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            Hedge(**options)
