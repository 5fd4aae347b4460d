"""R2: what it is by hand for one, two and many objectives, and what every set may rely on."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.errors import DataError
from accord.pareto import r2
from accord.pareto.indicators import R2_PREFERENCES, _expected, even_preferences


@pytest.mark.parametrize("objectives", [1, 3, 4, 6, 10, 20])
def test_one_point_is_worth_the_mean_of_the_largest_share(objectives: int) -> None:
    # The largest of m shares, uniform on the simplex, is (1 + 1/2 + ... + 1/m) / m in the mean.
    largest = sum(1 / k for k in range(1, objectives + 1)) / objectives
    assert r2(np.full((1, objectives), 3.0), [1.0] * objectives) == pytest.approx(2 * largest, rel=2e-3)


def test_by_hand_with_three_objectives() -> None:
    # The larger of two of three shares is 1/2 in the mean; the smallest of all three 1/9.
    assert r2(np.array([[1.0, 1.0, 0.0]]), [0.0, 0.0, 0.0]) == pytest.approx(1 / 2, rel=1e-3)
    assert r2(np.eye(3), [0.0, 0.0, 0.0]) == pytest.approx(1 / 9, rel=1e-3)
    assert r2(np.array([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]]), [0.0, 0.0, 0.0]) == 0.0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_many_objectives_have_the_same_definition_as_two(seed: int, count: int) -> None:
    pytest.importorskip("moocore")
    points = np.random.default_rng(seed).random((count, 2))
    found = _expected(points, even_preferences(R2_PREFERENCES, 2))
    assert found == pytest.approx(r2(points, [0.0, 0.0]), rel=1e-4, abs=1e-9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(3, 6))
def test_better_sets_are_never_worse_and_units_cancel(seed: int, count: int, objectives: int) -> None:
    rng = np.random.default_rng(seed)
    points, ideal = rng.integers(0, 5, (count, objectives)) / 4 + 1.0, np.ones(objectives)
    value = r2(points, ideal)
    better = np.maximum(points - rng.integers(0, 3, points.shape) / 4, ideal)
    assert r2(better, ideal) <= value
    assert r2(np.concatenate([points, rng.random((2, objectives)) + 1.0]), ideal) <= value
    dominated = points[:1] + rng.random((1, objectives))
    assert r2(np.concatenate([points, dominated]), ideal) == value
    assert r2(3.0 * (points - ideal), 0.0 * ideal) == pytest.approx(3.0 * value)
    turned = rng.permutation(objectives)
    assert r2(points[:, turned], ideal) == pytest.approx(value, rel=2e-2, abs=1e-4)  # the preferences are a sample


def test_memory_does_not_decide_the_value(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(0).random((7, 3))
    whole = r2(points, [0.0] * 3)
    monkeypatch.setattr("accord.pareto.indicators.AT_ONCE", 1000)
    assert r2(points, [0.0] * 3) == whole


@pytest.mark.parametrize(
    ("points", "words"),
    [([[1.0, -0.5, 2.0]], r"points\[0\] is .* better than the ideal"), (np.zeros((0, 3)), "points is empty")],
)
def test_what_has_no_value_is_named(points: list[list[float]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        r2(np.array(points), [0.0, 0.0, 0.0])
