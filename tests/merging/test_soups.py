"""Soups by hand, and the simplex."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.made import one, siblings

from accord.errors import ConfigurationError
from accord.merging import Linear, PersonalisedSoup, RewardedSoup, greedy_soup, simplex

THREE = [one(1.0, 0.0), one(3.0, 2.0), one(5.0, -2.0)]


def test_by_hand():
    assert RewardedSoup([0.5, 0.25, 0.25])(None, THREE)["w"].tolist() == [2.5, 0.0]
    assert RewardedSoup()(None, THREE)["w"].tolist() == pytest.approx([3.0, 0.0])
    assert PersonalisedSoup([0, 2])(None, THREE)["w"].tolist() == [3.0, -1.0]


def test_a_corner_of_the_simplex_is_its_model():
    _, models = siblings(0, 3, torch.bfloat16)
    models[1]["t1"][0] = float("inf")
    for place, corner in enumerate(simplex(3, 1)):
        chosen = models[corner.index(1.0)]
        if corner[1]:
            continue
        for soup in (RewardedSoup(corner), PersonalisedSoup([corner.index(1.0)])):
            merged = soup(None, models)
            assert all(torch.equal(merged[name], chosen[name]) for name in chosen), place


@settings(max_examples=20, deadline=None)
@given(models=st.integers(1, 4), steps=st.integers(1, 5))
def test_the_simplex_is_covered_once(models, steps):
    points = list(simplex(models, steps))
    assert len(points) == len(set(points)) == math.comb(steps + models - 1, models - 1)
    for point in points:
        assert sum(point) == pytest.approx(1.0) and min(point) >= 0
        RewardedSoup(point)


def test_a_greedy_soup_takes_what_does_not_lower_the_metric():
    models = [one(value) for value in (0.0, 3.0, 1.5, 10.0)]
    soup = greedy_soup(models, lambda state: -abs(state["w"].item() - 2.0))
    # 1.5 is best, 3.0 makes it 2.25, 0.0 would make it 1.5 and 10.0 worse.
    assert soup.members == (2, 1) and soup.state["w"].item() == 2.25
    assert soup.scores == (-2.0, -1.0, -0.5, -8.0) and soup.score == -0.25


def test_a_metric_that_likes_everything_gives_the_uniform_soup():
    _, models = siblings(1, 4)
    soup, mean = greedy_soup(models, lambda _: 1.0), Linear()(None, models)
    assert soup.members == (0, 1, 2, 3)
    assert all(torch.equal(soup.state[name], mean[name]) for name in mean)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: RewardedSoup([0.5, 0.6]), "sum to 1"),
        (lambda: RewardedSoup([-0.5, 1.5]), "not negative"),
        (lambda: RewardedSoup([])(None, THREE), "sum to 1"),
        (lambda: RewardedSoup([0.5, 0.5])(None, THREE), "2 numbers for 3"),
        (lambda: PersonalisedSoup([]), "at least one"),
        (lambda: PersonalisedSoup([1, 1]), "none twice"),
        (lambda: PersonalisedSoup([3])(None, THREE), "from 0 to 2"),
        (lambda: list(simplex(0, 2)), "1 or more"),
        (lambda: greedy_soup([], lambda _: 0.0), "at least one"),
        (lambda: greedy_soup(THREE, lambda _: math.nan), "NaN"),
    ],
)
def test_wrong_soups_are_refused(call, message):
    with pytest.raises(ConfigurationError, match=message):
        call()
