"""Schedules by hand, as points and as functions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

from accord.errors import ConfigurationError
from accord.weighting import Scheduled

ONES = torch.ones(2, dtype=torch.float64)


def test_weights_move_evenly_between_points() -> None:
    weighting = Scheduled([(1, [1, 0]), (5, [0, 4])])
    found = [weighting(ONES).tolist() for _ in range(8)]
    wanted = [[1, 0], [1, 0], [0.75, 1], [0.5, 2], [0.25, 3], [0, 4], [0, 4], [0, 4]]
    for weights, (first, second) in zip(found, wanted, strict=True):
        assert weights == pytest.approx([first / (first + second), second / (first + second)])


def test_weights_hold_between_points_when_asked_to() -> None:
    weighting = Scheduled([(0, [1, 0]), (2, [1, 1])], between="step")
    assert [weighting(ONES)[1].item() for _ in range(4)] == [0.0, 0.0, 0.5, 0.5]


def test_any_function_of_the_step() -> None:
    weighting = Scheduled(lambda step: [1.0, math.exp(-step)])
    for step in range(3):
        assert weighting(ONES)[1].item() == pytest.approx(math.exp(-step) / (1 + math.exp(-step)))
    assert weighting(ONES, active=tensor([False, True])).tolist() == [0.0, 1.0]


def test_the_step_resumes() -> None:
    first, second = (Scheduled([(0, [1, 0]), (4, [0, 1])]) for _ in range(2))
    for _ in range(2):
        first(ONES)
    second.load_state_dict(first.state_dict())
    assert second(ONES).tolist() == first(ONES).tolist() == [0.5, 0.5]


def test_what_it_cannot_work_with_is_said() -> None:
    for schedule, match in (
        ([], "one point"),
        ([(0, [1.0, -1.0])], "non-negative"),
        ([(0, [0.0, 0.0])], "not all 0"),
        ([(3, [1.0]), (1, [1.0])], "ascend"),
        ([(-1, [1.0]), (1, [1.0])], "ascend"),
        ([(2, [1.0]), (2, [2.0])], "ascend"),
        ([(0, [1.0]), (1, [1.0, 2.0])], "same tasks"),
    ):
        with pytest.raises(ConfigurationError, match=match):
            Scheduled(schedule)
    with pytest.raises(ConfigurationError, match="linear"):
        Scheduled(between="linar")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigurationError, match="set up for 3"):
        Scheduled([(0, [1, 1, 1])])(ONES)
    with pytest.raises(ConfigurationError, match="finite"):
        Scheduled(lambda _: [math.nan, 1.0])(ONES)
