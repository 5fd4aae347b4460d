"""MGDA's normalisation; the method itself is in the hand cases and the solver's tests."""

from __future__ import annotations

import math

import pytest
from torch import tensor

from accord.aggregation import MGDA
from accord.errors import ConfigurationError
from accord.testing import check_aggregator


def test_unit_gradients_decide_and_gradients_as_they_are_move() -> None:
    # At right angles, units are balanced by equal weights; on the gradients themselves the shorter one would rule.
    assert MGDA("l2")(tensor([[1.0, 0.0], [0.0, 2.0]])).tolist() == pytest.approx([0.5, 1.0])
    # Units (1, 0) and (-1, 1) / sqrt(2) have equal length, so their shortest mixture is even as well.
    assert MGDA("l2")(tensor([[1.0, 0.0], [-1.0, 1.0]])).tolist() == pytest.approx([0.0, 0.5])
    # Three: units (1, 0), (0, 1) and their bisector, which lies farther out and is not needed.
    third = [5 / math.sqrt(2), 5 / math.sqrt(2)]
    assert MGDA("l2")(tensor([[1.0, 0.0], [0.0, 2.0], third])).tolist() == pytest.approx([0.5, 1.0])


def test_normalised_it_keeps_the_contract() -> None:
    check_aggregator(lambda: MGDA("l2"), ("unanimous", "within_scale", "convex"), examples=5)


def test_the_normalisation_is_checked() -> None:
    with pytest.raises(ConfigurationError, match="no normalisation 'loss\\+'"):
        MGDA("loss+")  # pyright: ignore[reportArgumentType]
