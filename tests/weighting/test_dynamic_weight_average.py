from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import DynamicWeightAverage


def epoch(weighting: DynamicWeightAverage, *steps: list[float]) -> list[float]:
    """Run an epoch of the given losses and return the weights of its last step."""
    weights = [weighting(tensor(losses)) for losses in steps]
    weighting.end_epoch()
    return weights[-1].tolist()


def test_by_hand() -> None:
    weighting = DynamicWeightAverage()
    assert epoch(weighting, [2.0, 4.0], [6.0, 4.0]) == [0.5, 0.5]  # means 4 and 4
    assert epoch(weighting, [2.0, 3.0], [2.0, 5.0]) == [0.5, 0.5]  # means 2 and 4
    # Ratios 1/2 and 1 at temperature 2: softmax(1/4, 1/2).
    second = 1 / (1 + math.exp(-0.25))
    assert epoch(weighting, [1.0, 1.0]) == pytest.approx([1 - second, second])
    # Means 1 and 1 after 2 and 4: softmax(1/4, 1/8).
    first = 1 / (1 + math.exp(-0.125))
    assert weighting(tensor([9.0, 9.0])).tolist() == pytest.approx([first, 1 - first])


def test_a_window_ends_epochs_by_itself() -> None:
    by_hand, windowed = DynamicWeightAverage(), DynamicWeightAverage(window=3)
    generator = torch.Generator().manual_seed(0)
    for step in range(12):
        losses = torch.rand(4, generator=generator)
        assert torch.equal(by_hand(losses), windowed(losses))
        if step % 3 == 2:
            by_hand.end_epoch()


def test_a_task_that_an_epoch_did_not_see_keeps_its_ratio() -> None:
    weighting = DynamicWeightAverage()
    epoch(weighting, [4.0, 1.0])
    epoch(weighting, [2.0, 1.0])
    weighting(tensor([math.nan, 1.0]), active=tensor([False, True]))
    weighting.end_epoch()
    second = 1 / (1 + math.exp(-0.25))
    assert weighting(tensor([1.0, 1.0])).tolist() == pytest.approx([1 - second, second])


def test_an_epoch_with_no_step_changes_nothing() -> None:
    weighting = DynamicWeightAverage()
    weighting.end_epoch()
    epoch(weighting, [4.0, 1.0])
    epoch(weighting, [2.0, 1.0])
    before = weighting(tensor([1.0, 1.0]))
    fresh = DynamicWeightAverage()
    for losses in ([4.0, 1.0], [2.0, 1.0]):
        epoch(fresh, losses)
        fresh.end_epoch()
    assert torch.equal(fresh(tensor([1.0, 1.0])), before)


def test_losses_that_reach_zero_are_no_accident() -> None:
    weighting = DynamicWeightAverage(window=1)
    for losses in ([1.0, 1.0], [0.0, 0.5], [0.0, 0.25]):
        weighting(tensor(losses))
    # The first task fell from 0, a ratio that says nothing: 1, against 1/2.
    first = 1 / (1 + math.exp(-0.25))
    assert weighting(tensor([0.0, 0.2])).tolist() == pytest.approx([first, 1 - first])


def test_it_resumes_in_the_middle_of_a_window() -> None:
    steps = torch.rand(9, 3, generator=torch.Generator().manual_seed(1)) + 0.1
    first, second = DynamicWeightAverage(window=3), DynamicWeightAverage(window=3)
    for losses in steps[:5]:
        first(losses)
    second.load_state_dict(first.state_dict())
    for losses in steps[5:]:
        assert torch.equal(first(losses), second(losses))


def test_options_and_task_counts_are_checked() -> None:
    for wrong in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ConfigurationError, match="temperature"):
            DynamicWeightAverage(temperature=wrong)
    with pytest.raises(ConfigurationError, match="window"):
        DynamicWeightAverage(window=0)
    weighting = DynamicWeightAverage()
    weighting(torch.ones(2))
    with pytest.raises(ConfigurationError, match="always the same tasks"):
        weighting(torch.ones(3))
