"""Smooth Tchebycheff: its values, its limits, and a concave front."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import SmoothTchebycheff


def test_by_hand() -> None:
    # Preferences 1/2 and 3/2 after division by their mean; terms (4 - 2) / 2 and 3 (1 - 0) / 2, over mu = 1/2: 2 and 3.
    weighting = SmoothTchebycheff(mu=0.5, preference=[1, 3], ideal=[2, 0])
    losses = tensor([4.0, 1.0], dtype=torch.float64)
    assert float(weighting.objective(losses)) == pytest.approx(0.5 * math.log((math.exp(2) + math.exp(3)) / 2))
    second = 1 / (1 + math.exp(-1))
    assert weighting(losses).tolist() == pytest.approx([0.5 * (1 - second), 1.5 * second])


def test_its_limits_are_the_largest_loss_and_the_mean() -> None:
    losses = tensor([1.0, 3.0, 2.0], dtype=torch.float64)
    assert SmoothTchebycheff(mu=1e-3)(losses).tolist() == pytest.approx([0, 1, 0], abs=1e-9)
    assert float(SmoothTchebycheff(mu=1e-3).objective(losses)) == pytest.approx(3.0, abs=2e-3)
    assert SmoothTchebycheff(mu=1e6)(losses).tolist() == pytest.approx([1 / 3] * 3, rel=1e-5)


def test_it_reaches_the_inside_of_a_concave_front() -> None:
    # On the front L = (cos x, sin x) a weighted sum is least at an end, whatever the weights.
    losses = lambda x: torch.stack([torch.cos(x), torch.sin(x)])  # noqa: E731
    weighting = SmoothTchebycheff(mu=0.05, preference=[1.0, 1.0])
    x = tensor(0.4, dtype=torch.float64, requires_grad=True)
    for _ in range(300):
        (slope,) = torch.autograd.grad(weighting.objective(losses(x)), x)
        x = (x - 0.02 * slope).detach().requires_grad_()
    assert x.item() == pytest.approx(math.pi / 4, abs=1e-6)


def test_absent_tasks_are_no_part_of_it() -> None:
    weighting = SmoothTchebycheff(preference=[1, 3, 5])
    active = tensor([True, True, False])
    found = weighting(tensor([1.0, 2.0, math.nan]), active=active)
    assert found.tolist() == pytest.approx([*SmoothTchebycheff(preference=[1, 3])(tensor([1.0, 2.0])).tolist(), 0.0])


def test_without_its_only_preferred_task_it_rests() -> None:
    weighting, active = SmoothTchebycheff(preference=[1, 0, 0, 0, 0]), tensor([False, True, True, True, True])
    assert weighting(torch.arange(1.0, 6.0), active=active).tolist() == [0.0] * 5


def test_options_are_checked() -> None:
    wrong = ({"mu": 0.0}, {"mu": math.nan}, {"preference": [0.0, 0.0]}, {"preference": [-1.0]}, {"ideal": [[1.0]]})
    for options in wrong:
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            SmoothTchebycheff(**options)  # pyright: ignore
    with pytest.raises(ConfigurationError, match="set up for 2"):
        SmoothTchebycheff(ideal=[0.0, 0.0])(torch.ones(3))
