"""The Lasso by hand, by its optimality conditions, and by a solver that knows nothing of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from accord.errors import RunError
from accord.linalg.lasso import lasso


def problem(seed, rows=30, columns=6, targets=3, alike=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, columns)) + alike * rng.normal(size=(rows, 1))
    y = x @ rng.normal(size=(columns, targets)) + rng.normal(size=(rows, targets))
    return x, y


def solved(x, y, penalty, **options):
    return lasso(x.T @ x, x.T @ y, (y**2).sum(0), penalty, **options)


def test_orthogonal_columns_are_shrunk_one_by_one():
    x, y = np.eye(4)[:, :3], np.array([[3.0], [-0.5], [-2.0], [7.0]])
    assert solved(x, y, 1.0).tolist() == [[2.0], [0.0], [-1.0]]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0.01, 1.2), alike=st.sampled_from([0.0, 3.0]))
def test_slopes_are_within_the_penalty_and_at_it_where_a_weight_is_used(seed, share, alike):
    x, y = problem(seed, alike=alike)
    penalty = share * np.abs(x.T @ y).max()
    weights = solved(x, y, penalty, tolerance=1e-12)
    slopes = x.T @ (y - x @ weights)
    near = 1e-4 * np.abs(x.T @ y).max()
    assert (np.abs(slopes) <= penalty + near).all()
    used = weights != 0
    assert np.allclose(slopes[used], (penalty * np.sign(weights))[used], atol=near)
    assert share < 1 or not used.any()


def test_against_a_general_solver():
    x, y = problem(0, targets=1, alike=1.0)
    penalty, columns = 8.0, x.shape[1]

    def objective(parts):  # of the positive and the negative parts
        weights = parts[:columns] - parts[columns:]
        return 0.5 * ((y[:, 0] - x @ weights) ** 2).sum() + penalty * parts.sum()

    found = minimize(objective, np.ones(2 * columns), bounds=[(0, None)] * 2 * columns, options={"ftol": 1e-14})
    weights = solved(x, y, penalty, tolerance=1e-12)[:, 0]
    assert np.allclose(weights, found.x[:columns] - found.x[columns:], atol=1e-4)
    assert 0 < np.count_nonzero(weights) < columns


def test_columns_and_targets_of_zeros():
    x, y = problem(1)
    x[:, 2], y[:, 1] = 0.0, 0.0
    weights = solved(x, y, 1.0)
    assert not weights[2].any() and not weights[:, 1].any() and weights[0, 0] != 0
    assert lasso(np.zeros((0, 0)), np.zeros((0, 2)), np.ones(2), 0.5).shape == (0, 2)


def test_what_does_not_settle_is_said():
    x, y = problem(2, alike=50.0)
    with pytest.raises(RunError, match="did not settle in 2 sweeps"):
        solved(x, y, 1e-3, sweeps=2)
