"""GradDrop: what is kept, and how often."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from accord.aggregation import GradDrop
from accord.errors import ConfigurationError


def test_each_coordinate_keeps_one_sign() -> None:
    rows = torch.randn(5, 4000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = GradDrop(seed=3)(rows)
    positive, negative = rows.clamp(min=0).mean(dim=0), rows.clamp(max=0).mean(dim=0)
    assert torch.isclose(found, torch.where(found > 0, positive, negative)).all()
    assert bool((found > 0).any()) and bool((found < 0).any())
    assert torch.equal(GradDrop(seed=3)(rows), found) and not torch.equal(GradDrop(seed=4)(rows), found)


def test_the_odds_are_the_purity() -> None:
    # Entries 3 and -1: the positive part is three quarters of what there is.
    many = tensor([[3.0], [-1.0]]).expand(2, 40_000)
    found = GradDrop(seed=1)(many)
    assert set(found.tolist()) == {1.5, -0.5}
    share = float((found > 0).float().mean())
    assert abs(share - 0.75) < 5 * math.sqrt(0.75 * 0.25 / 40_000)


def test_a_leak_lets_a_tasks_gradient_through() -> None:
    rows = tensor([[4.0, 4.0], [-2.0, -2.0]])
    assert GradDrop(leak=[1.0, 1.0])(rows).tolist() == [1.0, 1.0]  # the mean
    many = rows[:, :1].expand(2, 1000)
    # Positive kept: (4 - 2 / 2) / 2. Negative kept: -2 / 2.
    assert set(GradDrop(leak=[0.0, 0.5])(many).tolist()) == {1.5, -1.0}
    # The leak belongs to the task, wherever others are absent.
    three = torch.cat([torch.zeros(1, 1000), many])
    active = tensor([False, True, True])
    assert set(GradDrop(leak=[0.3, 0.0, 0.5])(three, active=active).tolist()) == {1.5, -1.0}


def test_options_are_checked() -> None:
    for wrong in ([-0.1], [1.1], [math.nan], [[0.5]]):
        with pytest.raises(ConfigurationError, match="leak"):
            GradDrop(leak=wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="2 entries but there are 3"):
        GradDrop(leak=[0.0, 0.0])(torch.ones(3, 2))
