from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import IMTLL


def test_by_hand() -> None:
    weighting = IMTLL(2)
    with torch.no_grad():
        weighting.log_scale.copy_(tensor([math.log(2.0), 0.0]))
    losses = tensor([3.0, 5.0])
    assert weighting.objective(losses).item() == pytest.approx((6 - math.log(2) + 5) / 2)
    assert weighting(losses).tolist() == pytest.approx([1.0, 0.5])


def test_it_brings_every_loss_to_one() -> None:
    weighting, losses = IMTLL(3), tensor([0.1, 1.0, 20.0])
    optimizer = torch.optim.Adam(weighting.parameters(), lr=0.1)
    for _ in range(250):
        optimizer.zero_grad()
        weighting.objective(losses).backward()
        optimizer.step()
    assert (3 * weighting(losses) * losses).tolist() == pytest.approx([1.0, 1.0, 1.0], rel=1e-2)


def test_an_inactive_tasks_scale_stays_put() -> None:
    weighting = IMTLL(2)
    weighting.objective(tensor([math.nan, 3.0]), active=tensor([False, True])).backward()
    assert weighting.log_scale.grad is not None and weighting.log_scale.grad.tolist() == [0.0, 2.0]


def test_task_counts_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="at least one"):
        IMTLL(0)
    with pytest.raises(ConfigurationError, match="set up for 2"):
        IMTLL(2)(torch.ones(3))
