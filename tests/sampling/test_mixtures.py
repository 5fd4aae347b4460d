"""The laws of the mixtures, by hand and against independent ways to find them."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from accord.errors import ConfigurationError
from accord.sampling import (
    Capped,
    CompetenceCurriculum,
    Cooldown,
    Proportional,
    Temperature,
    UncertaintyAware,
    Uniform,
    UniMax,
)

SIZES = st.lists(st.integers(1, 10**9), min_size=1, max_size=6)


def law(sampler) -> list[float]:
    return sampler.probabilities().tolist()


def test_by_hand() -> None:
    assert law(Proportional([1, 2, 5])) == pytest.approx([0.125, 0.25, 0.625])
    assert law(Uniform(4)) == [0.25] * 4
    assert law(Temperature([1, 16], temperature=2.0)) == pytest.approx([0.2, 0.8])
    assert law(Temperature([1, 16], temperature=math.inf)) == [0.5, 0.5]
    # T5: min(e, K): 10, 100, 100 of 210.
    assert law(Capped([10, 100, 10**6], limit=100)) == pytest.approx([10 / 210, 100 / 210, 100 / 210])
    assert law(Capped([1, 10**6], limit=16, temperature=2.0)) == pytest.approx([0.2, 0.8])
    # 90 rows for sizes 10, 20, 1000: 30 each; the first leaves 20, so 40 each; the second leaves 20: 60 for the third.
    assert law(UniMax([1000, 10, 20], rows=90)) == pytest.approx([60 / 90, 10 / 90, 20 / 90])
    # Twice each at most: the first takes its 20, what it leaves makes 35 for each of the others.
    assert law(UniMax([1000, 10, 20], rows=90, epochs=2)) == pytest.approx([35 / 90, 20 / 90, 35 / 90])


@settings(max_examples=50, deadline=None)
@given(SIZES, st.floats(0.5, 50.0))
def test_temperature_lies_between_proportional_and_uniform(sizes: list[int], temperature: float) -> None:
    found = torch.tensor(law(Temperature(sizes, temperature)))
    powers = torch.tensor([math.log(size) / temperature for size in sizes], dtype=torch.float64).softmax(dim=0)
    assert torch.allclose(found.double(), powers, rtol=1e-6)
    flipped = torch.tensor(law(Temperature(sizes[::-1], temperature)))
    assert torch.allclose(found, flipped.flip(0))


@settings(max_examples=50, deadline=None)
@given(SIZES, st.floats(1.0, 1e9), st.floats(0.1, 10.0))
def test_unimax_is_water_filling(sizes: list[int], rows: float, epochs: float) -> None:
    """The oracle finds the level at which the caps hold exactly the rows."""
    caps = torch.tensor(sizes, dtype=torch.float64) * epochs
    if rows >= float(caps.sum()) * (1 - 1e-9):
        level = float(caps.max())
    else:
        level = brentq(lambda c: float(caps.clamp(max=c).sum()) - rows, 0.0, float(caps.max()), xtol=1e-12, rtol=1e-14)
    filled = caps.clamp(max=level)
    assert torch.allclose(UniMax(sizes, rows, epochs).probabilities(), filled / filled.sum(), rtol=1e-6, atol=1e-12)


def test_unimax_repeats_no_data_set_beyond_its_epochs() -> None:
    sampler = UniMax([40, 400, 4000], rows=1000, epochs=1.5, mix="shares")
    drawn = torch.stack([sampler(20) for _ in range(50)]).sum(dim=0)
    assert drawn[0] == pytest.approx(60, abs=10) and drawn[1] <= 600 and drawn.sum() == 1000


def test_cooldown_goes_from_hot_to_cold() -> None:
    sampler = Cooldown([1, 16], start=1, end=3, hot=4.0, cold=1.0)
    seen = []
    for _ in range(5):
        seen.append(sampler.temperature)
        assert law(sampler)[0] == pytest.approx(1 / (1 + 16 ** (1 / seen[-1])))
        sampler(4)
    assert seen == [4.0, 4.0, 2.5, 1.0, 1.0]
    switch = Cooldown([1, 16], start=1, end=1)
    assert switch.temperature == 5.0
    switch(1)
    assert switch.temperature == 1.0


def test_the_curriculum_opens_tasks_in_order() -> None:
    """Sizes 1, 1, 2 at difficulties 5, 0, 9: quantiles 1/2, 1/4, 1; c0 = 0.1 and 8 steps."""
    sampler = CompetenceCurriculum([5.0, 0.0, 9.0], steps=8, sizes=[1, 1, 2], initial=0.1)
    opened = []
    for step in range(10):
        competence = min(1.0, math.sqrt(step * (1 - 0.01) / 8 + 0.01))
        assert sampler.competence == pytest.approx(competence)
        due = {0.25: [0.0, 1.0, 0.0], 0.5: [0.5, 0.5, 0.0], 1.0: [0.25, 0.25, 0.5]}
        level = 1.0 if competence >= 1 - 1e-9 else 0.5 if competence >= 0.5 else 0.25
        assert law(sampler) == pytest.approx(due[level])
        opened.append(level)
        sampler(3)
    assert opened[0] == 0.25 and opened[-2:] == [1.0, 1.0] and 0.5 in opened


def test_tasks_of_one_difficulty_open_together() -> None:
    assert law(CompetenceCurriculum([1.0, 1.0, 1.0], steps=5)) == pytest.approx([1 / 3] * 3)


@pytest.mark.parametrize(("difficulties", "sizes"), [([1.0, float("nan")], None), ([1.0, 2.0], [1, 2, 3])])
def test_a_curriculum_without_an_order_is_refused(difficulties, sizes) -> None:
    with pytest.raises(ConfigurationError, match="one finite difficulty per size"):
        CompetenceCurriculum(difficulties, steps=5, sizes=sizes)


def test_uncertainty_by_hand_and_by_autograd() -> None:
    sampler = UncertaintyAware([1, 3], rate=0.5)
    before = sampler.scores.clone().requires_grad_()
    rewards = torch.tensor([0.8, 0.4], dtype=torch.float64)
    (slope,) = torch.autograd.grad((rewards * before.log_softmax(dim=0)).sum(), before)
    sampler.observe(rewards=rewards)
    assert torch.allclose(sampler.scores, before.detach() + 0.5 * slope)
    # R - p sum R: 0.8 - 0.25 * 1.2 and 0.4 - 0.75 * 1.2, times the rate.
    assert (sampler.scores - before).tolist() == pytest.approx([0.25, -0.25])


def test_uncertainty_comes_to_rest_in_proportion() -> None:
    sampler = UncertaintyAware([1, 5, 50], rate=0.5)
    for _ in range(400):
        sampler.observe(rewards=[0.6, 0.3, 0.1])
    assert law(sampler) == pytest.approx([0.6, 0.3, 0.1], abs=1e-6)


def test_uncertainty_leaves_the_unheard_alone() -> None:
    sampler = UncertaintyAware([1, 1, 1])
    sampler.observe(rewards=[0.5, float("nan"), 0.1])
    assert sampler.scores[1] == 0.0 and sampler.scores[0] > 0 > sampler.scores[2]
    sampler.observe(rewards=[float("nan")] * 3)
    with pytest.raises(ConfigurationError, match="uncertainties must be at least 0"):
        sampler.observe(rewards=[0.5, -0.1, 0.1])
