from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import Fixed


def test_only_ratios_count() -> None:
    losses = tensor([1.0, 2.0, 3.0])
    assert Fixed([1, 1, 2])(losses).tolist() == [0.25, 0.25, 0.5]
    assert Fixed([10, 10, 20])(losses).tolist() == [0.25, 0.25, 0.5]
    assert Fixed([1, 1, 2])(losses, active=tensor([True, False, True])).tolist() == pytest.approx([1 / 3, 0, 2 / 3])


def test_objective_is_the_weighted_loss_and_ignores_what_is_inactive() -> None:
    losses = tensor([1.0, math.nan, 3.0], requires_grad=True)
    objective = Fixed([3, 5, 1]).objective(losses, active=tensor([True, False, True]))
    assert objective.item() == pytest.approx(1.5)
    objective.backward()
    assert losses.grad is not None and losses.grad.tolist() == [0.75, 0.0, 0.25]


def test_weights_survive_the_state_dict() -> None:
    fresh = Fixed()
    fresh.load_state_dict(Fixed([1, 3]).state_dict())
    assert fresh(torch.ones(2)).tolist() == [0.25, 0.75]


@pytest.mark.parametrize("wrong", [[], [0.0, 0.0], [1.0, -1.0], [math.inf, 1.0], [[1.0]]])
def test_weights_are_checked(wrong: list[float]) -> None:
    with pytest.raises(ConfigurationError, match="fixed weights"):
        Fixed(wrong)


def test_the_number_of_losses_is_checked() -> None:
    with pytest.raises(ConfigurationError, match=r"2 task\(s\) but was given losses of shape \[3\]"):
        Fixed([1, 2])(torch.ones(3))
