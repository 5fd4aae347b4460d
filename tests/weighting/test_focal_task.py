"""Focal weights: the slope of the focal sum, and what held-out losses change."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import FocalTask


def test_the_weights_are_the_slope_of_the_focal_sum() -> None:
    losses = tensor([0.01, 0.5, 3.0], dtype=torch.float64, requires_grad=True)
    ((1 - torch.exp(-losses)) ** 1.7 * losses).sum().backward()
    assert losses.grad is not None
    wanted = losses.grad / losses.grad.sum()
    assert FocalTask(1.7)(losses.detach()).tolist() == pytest.approx(wanted.tolist())


def test_by_hand_on_held_out_losses() -> None:
    weighting = FocalTask(2.0)
    weighting.end_epoch(validation=tensor([math.log(2), math.log(4)]))  # right with 1/2 and 1/4
    assert weighting(tensor([9.0, 1e-3])).tolist() == pytest.approx([4 / 13, 9 / 13])
    weighting.end_epoch(validation=tensor([math.nan, math.log(2)]))
    assert weighting(tensor([9.0, 1e-3])).tolist() == pytest.approx([0.5, 0.5])


def test_extremes() -> None:
    assert FocalTask()(tensor([0.0, 0.0])).tolist() == [0.5, 0.5]
    assert FocalTask()(tensor([0.0, 1.0])).tolist() == [0.0, 1.0]
    assert FocalTask()(tensor([1e20, 1e30])).tolist() == [0.5, 0.5]
    # (1 + gamma) L^gamma near 0.
    assert FocalTask()(tensor([1e-12, 2e-12], dtype=torch.float64)).tolist() == pytest.approx([0.2, 0.8])
    assert FocalTask(0.0)(tensor([0.0, 5.0])).tolist() == [0.5, 0.5]
    assert FocalTask(0.5)(tensor([0.0, 5.0])).tolist() == [0.0, 1.0]


def test_a_task_that_is_away_leaves_certain_ones_equal() -> None:
    weighting = FocalTask()
    weighting.end_epoch(validation=tensor([0.0, 0.0, 2.0]))
    assert weighting(torch.ones(3), active=tensor([True, True, False])).tolist() == [0.5, 0.5, 0.0]


def test_its_memory_resumes() -> None:
    first, second = FocalTask(), FocalTask()
    first.end_epoch(validation=tensor([0.1, 2.0]))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(torch.ones(2)), second(torch.ones(2)))
    assert not torch.equal(second(torch.ones(2)), FocalTask()(torch.ones(2)))


def test_what_it_cannot_work_with_is_said() -> None:
    with pytest.raises(ConfigurationError, match="gamma"):
        FocalTask(-1.0)
    with pytest.raises(ConfigurationError, match="negative log-likelihoods"):
        FocalTask()(tensor([-1.0, 1.0]))
    weighting = FocalTask()
    weighting.end_epoch(validation=tensor([0.1, 2.0]))
    with pytest.raises(ConfigurationError, match="negative log-likelihoods"):
        weighting.end_epoch(validation=tensor([-0.1, 2.0]))
    with pytest.raises(ConfigurationError, match="set up for 2"):
        weighting(torch.ones(3))
