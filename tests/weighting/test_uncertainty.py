from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import Uncertainty


def test_by_hand() -> None:
    weighting = Uncertainty(2, ["regression", "classification"])
    with torch.no_grad():
        weighting.log_variance.copy_(tensor([math.log(4.0), math.log(2.0)]))
    # (L_1 / (2 * 4) + log(4) / 2 + L_2 / 2 + log(2) / 2) / 2
    losses = tensor([8.0, 6.0], requires_grad=True)
    assert weighting.objective(losses).item() == pytest.approx((1 + math.log(2) + 3 + math.log(2) / 2) / 2)
    assert weighting(losses).tolist() == pytest.approx([1 / 16, 1 / 4])


@pytest.mark.parametrize("form", ["regression", "classification"])
def test_it_learns_the_likelihoods_variance(form: str) -> None:
    # The best weight of a steady loss L is 1 / (2 L): for a regression, its variance is the mean squared error.
    weighting = Uncertainty(2, form)  # pyright: ignore[reportArgumentType]
    losses = tensor([0.2, 5.0])
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.1)
    for _ in range(250):
        optimizer.zero_grad()
        weighting.objective(losses).backward()
        optimizer.step()
    assert (2 * weighting(losses)).tolist() == pytest.approx([1 / 0.4, 1 / 10], rel=1e-3)
    variance = weighting.log_variance.exp().tolist()
    assert variance == pytest.approx([0.2, 5.0] if form == "regression" else [0.4, 10.0], rel=1e-3)


def test_an_inactive_tasks_variance_stays_put() -> None:
    weighting = Uncertainty(3)
    weighting.objective(tensor([1.0, math.nan, 4.0]), active=tensor([True, False, True])).backward()
    # d/ds (exp(-s) L + s / 2) / 2 at s = 0: (1/2 - L) / 2.
    assert weighting.log_variance.grad is not None
    assert weighting.log_variance.grad.tolist() == pytest.approx([-0.25, 0.0, -1.75])
    assert weighting(tensor([1.0, math.nan, 4.0]), active=tensor([True, False, True])).tolist() == [0.5, 0.0, 0.5]


def test_without_an_active_task_there_is_nothing_to_descend() -> None:
    objective = Uncertainty(2).objective(tensor([math.nan, math.nan]), active=tensor([False, False]))
    assert objective.item() == 0.0


def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'regression'"):
        Uncertainty(2, "regresion")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="1 forms for 2 tasks"):
        Uncertainty(2, ["regression"])
    with pytest.raises(ConfigurationError, match="at least one task"):
        Uncertainty(0)
    with pytest.raises(ConfigurationError, match="set up for 2"):
        Uncertainty(2)(torch.ones(3))
