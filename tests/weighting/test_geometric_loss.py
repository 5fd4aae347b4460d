from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import GeometricLoss


def test_by_hand() -> None:
    losses = tensor([1.0, 4.0, 2.0])
    assert GeometricLoss().objective(losses).item() == pytest.approx(2.0)
    assert GeometricLoss()(losses).tolist() == pytest.approx([2 / 3, 1 / 6, 1 / 3])
    assert GeometricLoss()(torch.full((5,), 7.0)).tolist() == pytest.approx([0.2] * 5)


def test_many_small_losses_do_not_underflow() -> None:
    assert GeometricLoss().objective(torch.full((400,), 1e-30)).item() == pytest.approx(1e-30)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_loss_in_half_precision_is_its_own_mean(dtype: torch.dtype) -> None:
    for value in (300.0, 0.004, 17.0, 1000.0):
        losses = torch.full((3,), value, dtype=dtype)
        assert GeometricLoss().objective(losses) == losses[0]


def test_it_is_the_geometric_mean() -> None:
    losses = np.random.default_rng(0).uniform(0.1, 9, 6)
    assert GeometricLoss().objective(torch.from_numpy(losses)).item() == pytest.approx(np.prod(losses) ** (1 / 6))


def test_what_is_done_or_inactive_is_left_out() -> None:
    losses = tensor([0.0, 4.0, math.nan, 1.0])
    active = tensor([True, True, False, True])
    assert GeometricLoss().objective(losses, active=active).item() == pytest.approx(2.0)
    assert GeometricLoss()(losses, active=active).tolist() == pytest.approx([0.0, 1 / 4, 0.0, 1.0])
    assert GeometricLoss()(torch.zeros(2)).tolist() == [0.0, 0.0]


def test_negative_losses_and_nan_do_not_pass_unseen() -> None:
    with pytest.raises(ConfigurationError, match="not negative"):
        GeometricLoss()(tensor([1.0, -1.0]))
    assert GeometricLoss().objective(tensor([1.0, math.nan])).isnan()


def test_preferences_are_exponents() -> None:
    losses = tensor([2.0, 8.0, 5.0], dtype=torch.float64)
    weighting = GeometricLoss([3.0, 1.0, 0.0])
    mean = 2.0**0.75 * 8.0**0.25
    assert float(weighting.objective(losses)) == pytest.approx(mean)
    assert weighting(losses).tolist() == pytest.approx([0.75 * mean / 2, 0.25 * mean / 8, 0.0])
    # Over the active tasks alone; without a preferred one among them there is nothing to minimise.
    assert weighting(losses, active=tensor([False, True, True])).tolist() == pytest.approx([0.0, 1.0, 0.0])
    assert weighting(losses, active=tensor([False, False, True])).tolist() == [0.0, 0.0, 0.0]
    for wrong in ([], [0.0, 0.0], [-1.0, 2.0], [math.nan]):
        with pytest.raises(ConfigurationError, match="preference"):
            GeometricLoss(wrong)
    with pytest.raises(ConfigurationError, match="set up for 3"):
        weighting(losses[:2])


def test_the_focused_form_of_the_paper() -> None:
    losses = tensor([2.0, 8.0, 5.0], dtype=torch.float64)
    focused = (losses.prod() ** (1 / 3)) * (losses[:2].prod() ** (1 / 2))
    found = GeometricLoss([1 / 3 + 1 / 2, 1 / 3 + 1 / 2, 1 / 3]).objective(losses)
    assert float(found) == pytest.approx(float(focused) ** 0.5)
