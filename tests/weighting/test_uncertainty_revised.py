"""The revised uncertainty weighting: its objective and where it settles."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import UncertaintyRevised


def test_by_hand() -> None:
    weighting = UncertaintyRevised(2)
    with torch.no_grad():
        weighting.log_variance.copy_(tensor([math.log(4.0), math.log(1.0)]))
    # (8 / (2 * 4) + log(5) + 6 / 2 + log(2)) / 2
    losses = tensor([8.0, 6.0])
    assert weighting.objective(losses).item() == pytest.approx((1 + math.log(5) + 3 + math.log(2)) / 2)
    assert weighting(losses).tolist() == pytest.approx([1 / 16, 1 / 4])


def test_it_settles_where_its_docstring_says_and_stays_positive() -> None:
    weighting = UncertaintyRevised(3)
    losses = tensor([1e-3, 1.0, 50.0])
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.1)
    for _ in range(700):
        optimizer.zero_grad()
        weighting.objective(losses).backward()
        optimizer.step()
    variance = weighting.log_variance.exp().detach()
    assert (2 * variance**2).tolist() == pytest.approx((losses * (1 + variance)).tolist(), rel=1e-3)
    assert weighting.objective(losses).item() > 0


def test_an_inactive_tasks_variance_stays_put() -> None:
    weighting = UncertaintyRevised(2)
    active = tensor([True, False])
    weighting.objective(tensor([1.0, math.nan]), active=active).backward()
    assert weighting.log_variance.grad is not None
    # d/ds (exp(-s) L / 2 + log(1 + e^s)) at e^s = 1/2: -L + 1/3.
    assert weighting.log_variance.grad.tolist() == pytest.approx([-2 / 3, 0.0])
    assert weighting(tensor([1.0, math.nan]), active=active).tolist() == pytest.approx([1.0, 0.0])


def test_tasks_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="at least one task"):
        UncertaintyRevised(0)
    with pytest.raises(ConfigurationError, match="set up for 2"):
        UncertaintyRevised(2)(torch.ones(3))
