"""Selective freezing: what is counted, when it is decided, and whom it holds back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import tensor

from accord.aggregation import SelectiveFreezing
from accord.errors import ConfigurationError


def test_by_hand() -> None:
    aggregator = SelectiveFreezing(window=2, threshold=0.5)
    # The first coordinate keeps its sign, the second one changes it in every step; the other objective is (-1, -1).
    other = [-1.0, -1.0]
    steps = [[1.0, 1.0], [2.0, -1.0], [1.0, 1.0], [4.0, -1.0], [4.0, 1.0]]
    found = [aggregator(tensor([first, other])).tolist() for first in steps]
    # Three steps make two comparisons; from the fourth on the first coordinate is left to the other objective.
    assert found[:3] == [[0.0, 0.0], [0.5, -1.0], [0.0, 0.0]]
    assert found[3:] == [[-0.5, -1.0], [-0.5, 0.0]]


def test_against_the_definition() -> None:
    rng = np.random.default_rng(0)
    window, threshold = 5, 0.45
    aggregator = SelectiveFreezing(window, threshold)
    # Coordinates from steady to random.
    history = [rng.standard_normal(20) + np.linspace(0, 3, 20) for _ in range(31)]
    frozen = np.zeros(20, dtype=bool)
    frozen_ever = 0
    for step, first in enumerate(history):
        if step > 0 and (step - 1) % window == 0 and step > 1:
            signs = np.sign(np.stack(history[step - 1 - window : step]))
            frozen = (signs[1:] != signs[:-1]).mean(axis=0) < threshold
        other = rng.standard_normal(20)
        wanted = (np.where(frozen, 0.0, first) + other) / 2
        assert aggregator(torch.from_numpy(np.stack([first, other]))).tolist() == pytest.approx(wanted.tolist())
        frozen_ever += frozen.sum()
    assert 0 < frozen_ever < 20 * 25


def test_a_coordinate_is_released_again() -> None:
    aggregator = SelectiveFreezing(window=2, threshold=0.5)
    for first in (1.0, 1.0, 1.0):
        aggregator(tensor([[first], [0.0]]))
    assert aggregator.frozen.item()
    for first in (-1.0, 1.0):
        assert aggregator(tensor([[first], [0.0]])).item() == 0.0
    assert not aggregator.frozen.item()


def test_it_watches_only_where_there_are_two() -> None:
    aggregator = SelectiveFreezing(window=1, threshold=1.0)
    rows = torch.ones(2, 3)
    for _ in range(2):
        aggregator(rows)
    assert aggregator.frozen.all()
    seen = aggregator.compared.clone(), aggregator.signs.clone()
    assert aggregator(rows, active=tensor([True, False])).tolist() == [1.0, 1.0, 1.0]
    assert aggregator(3 * rows, active=tensor([False, True])).tolist() == [3.0, 3.0, 3.0]
    assert torch.equal(aggregator.compared, seen[0]) and torch.equal(aggregator.signs, seen[1])
    assert aggregator(rows).tolist() == [0.5, 0.5, 0.5]


def test_its_ends() -> None:
    # No disorder is below 0; and without the first task the others are averaged, unseen.
    none = SelectiveFreezing(window=1, threshold=0.0)
    for _ in range(4):
        assert none(torch.ones(2, 3)).tolist() == [1.0, 1.0, 1.0]
    aggregator, rows = SelectiveFreezing(window=1, threshold=1.0), torch.ones(3, 2)
    aggregator(rows)
    before = aggregator.compared.clone()
    found = aggregator(tensor([[9.0, 9.0], [-1.0, 2.0], [3.0, 4.0]]), active=tensor([False, True, True]))
    assert found.tolist() == [1.0, 3.0] and torch.equal(aggregator.compared, before)
    assert aggregator.signs.tolist() == [1, 1]


def test_it_resumes_in_the_middle_of_a_window() -> None:
    rng = np.random.default_rng(1)
    steps = [torch.from_numpy(rng.standard_normal((2, 6)) + 0.8) for _ in range(12)]
    whole, first, second = (SelectiveFreezing(window=3, threshold=0.6) for _ in range(3))
    wanted = [whole(rows) for rows in steps]
    for rows in steps[:5]:
        first(rows)
    second.load_state_dict(first.state_dict())
    assert all(torch.equal(second(rows), want) for rows, want in zip(steps[5:], wanted[5:], strict=True))


def test_options_and_sizes_are_checked() -> None:
    for options in ({"window": 0}, {"threshold": -0.1}, {"threshold": float("nan")}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            SelectiveFreezing(**options)  # pyright: ignore[reportArgumentType]
    aggregator = SelectiveFreezing()
    aggregator(torch.ones(2, 3))
    with pytest.raises(ConfigurationError, match="coordinates"):
        aggregator(torch.ones(2, 4))
