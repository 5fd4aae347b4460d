"""Guarded descent against a generic solver of quadratic programs and its own promises."""

from __future__ import annotations

from ctypes import c_int

import daqp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from accord.linalg.guarded_descent import guarded_weights


def rows_of(seed: int, tasks: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(tasks + 1, width)) + rng.normal(size=width) * rng.integers(0, 2)
    rows[:-1] /= np.linalg.norm(rows[:-1], axis=1, keepdims=True)
    rows[-1] *= 10.0 ** rng.integers(-3, 3)
    return rows


def value(weights: np.ndarray, gramian: np.ndarray, floor: float) -> float:
    return float(weights @ gramian @ weights / 2 - floor * gramian[-1, -1] * weights[-1])


@settings(max_examples=150, deadline=None)
@given(some.integers(0, 10**6), some.integers(1, 8), some.integers(2, 12), some.sampled_from([1e-3, 0.1, 1.0, 30.0]))
def test_it_is_optimal_and_keeps_the_guard(seed: int, tasks: int, width: int, floor: float) -> None:
    rows = rows_of(seed, tasks, width)
    gramian = rows @ rows.T
    found = guarded_weights(gramian, floor)
    assert found.min() >= 0 and found[:-1].sum() == pytest.approx(1, abs=1e-12)
    direction, square = found @ rows, gramian[-1, -1]
    length = max(float(np.linalg.norm(direction)), 1.0)
    assert direction @ rows[-1] >= floor * square - 1e-8 * length * np.sqrt(square)
    # Optimal on the simplex: no other row of the first lies further back along the direction than those in use.
    overlap = rows[:-1] @ direction
    assert overlap[found[:-1] > 1e-9].max() <= overlap.min() + 1e-7 * length
    # And the guard is pulled at only as far as it must be.
    if found[-1] > 1e-9:
        assert direction @ rows[-1] == pytest.approx(floor * square, abs=1e-7 * length * np.sqrt(square))


@pytest.mark.parametrize("seed", range(20))
def test_it_is_what_a_generic_solver_finds(seed: int) -> None:
    rows, floor = rows_of(seed, 4, 9), 0.3
    rows[-1] /= np.linalg.norm(rows[-1])
    gramian = rows @ rows.T
    constraints = np.vstack([[1.0, 1.0, 1.0, 1.0, 0.0]])
    upper, lower = np.array([*[1e6] * 5, 1.0]), np.array([*[0.0] * 5, 1.0])
    linear = np.array([0.0, 0.0, 0.0, 0.0, -floor])
    sense = np.array([0] * 5 + [5], dtype=c_int)
    point = daqp.solve(gramian + 1e-12 * np.eye(5), linear, constraints, upper, lower, sense)[0]
    found = guarded_weights(gramian, floor)
    assert value(found, gramian, floor) <= value(point, gramian, floor) + 1e-9
    assert found @ rows == pytest.approx(point @ rows, abs=1e-5)


def test_a_guard_that_is_met_or_at_rest_is_left_alone() -> None:
    rows = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    assert guarded_weights(rows @ rows.T, 0.1) == pytest.approx([0.5, 0.5, 0.0])
    rows[2] = 0.0
    assert guarded_weights(rows @ rows.T, 0.1) == pytest.approx([0.5, 0.5, 0.0])
    rows[2] = [-1.0, -1.0]  # the guard wants the opposite: exactly 0.1 + 0.5 of it
    assert guarded_weights(rows @ rows.T, 0.1) == pytest.approx([0.5, 0.5, 0.6])
