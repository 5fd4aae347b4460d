"""The solvers' optimality conditions over every family of Gramians, and other solvers' answers."""

from __future__ import annotations

from collections.abc import Callable

import daqp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from accord.linalg import bargaining_weights, conflict_averse_weights, dual_cone_weights, min_norm_weights, normalise
from accord.testing import FAMILIES

# Residuals are in units of |g_i| times the lengths that were added up, so that they mean the same at every scale.
TOLERANCE = 1e-9
cases = some.tuples(
    some.sampled_from([family for family in FAMILIES if family != "zero"]),
    some.integers(1, 12),
    some.integers(2, 30),
    some.sampled_from([-20, -10, 0, 10, 20]),
    some.integers(0, 2**31),
)
Drawn = tuple[str, int, int, int, int]


def made(case: Drawn) -> np.ndarray:
    family, tasks, parameters, exponent, seed = case
    return FAMILIES[family](np.random.default_rng(seed), tasks, parameters) * 10.0**exponent


def relative(jacobian: np.ndarray, direction: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, float]:
    """Inner products of unit gradients with a direction, in units of the lengths added up to make it."""
    lengths = np.linalg.norm(jacobian, axis=1)
    added = float(np.abs(weights) @ lengths) or 1.0
    return np.divide(jacobian @ direction, lengths * added, out=np.zeros_like(lengths), where=lengths > 0), added


@given(cases)
@settings(max_examples=80)
def test_min_norm_is_feasible_and_optimal(case: Drawn) -> None:
    jacobian = made(case)
    weights = min_norm_weights(jacobian @ jacobian.T)
    assert weights.min() >= 0 and weights.sum() == pytest.approx(1, abs=1e-12)
    point = weights @ jacobian
    overlap, added = relative(jacobian, point, weights)
    lengths = np.linalg.norm(jacobian, axis=1)
    level = np.divide(point @ point / added, lengths, out=np.zeros_like(lengths), where=lengths > 0)
    assert (overlap - level)[lengths > 0].min(initial=0) >= -TOLERANCE  # no vertex lies nearer to 0
    if lengths.min() == 0:
        assert not point.any()


@given(cases)
@settings(max_examples=80)
def test_dual_cone_projection_is_feasible_and_optimal(case: Drawn) -> None:
    jacobian = made(case)
    for lower, weights in zip(
        np.eye(len(jacobian)), dual_cone_weights(jacobian @ jacobian.T, np.eye(len(jacobian))).T, strict=True
    ):
        assert (weights >= lower).all()
        overlap, added = relative(jacobian, weights @ jacobian, weights)
        assert overlap.min() >= -TOLERANCE  # in the dual cone
        shares = (weights - lower) * np.linalg.norm(jacobian, axis=1) / added
        assert np.abs(shares * overlap).max() <= TOLERANCE  # and moved only along faces that bind


def test_dual_cone_of_any_lower_bounds() -> None:
    rng = np.random.default_rng(0)
    for tasks in (2, 5, 20):
        jacobian = rng.standard_normal((tasks, 2 * tasks))
        lower = rng.uniform(0, 1, (tasks, 3)) * 10.0 ** rng.uniform(-6, 6, (1, 3))
        gramian = jacobian @ jacobian.T
        for bound, weights in zip(lower.T, dual_cone_weights(gramian, lower).T, strict=True):
            oracle = daqp.solve(
                gramian,
                np.zeros(tasks),
                np.eye(tasks),
                np.full(tasks, 1e30),
                bound / bound.max(),
                np.zeros(tasks, np.int32),
            )[0]
            assert weights / bound.max() == pytest.approx(oracle, abs=1e-6)


@pytest.mark.parametrize("tasks", [2, 4, 16, 40])
def test_min_norm_agrees_with_another_solver(tasks: int) -> None:
    rng = np.random.default_rng(tasks)
    for _ in range(10):
        jacobian = rng.standard_normal((tasks, 2 * tasks))
        gramian = jacobian @ jacobian.T
        rows = np.vstack([np.eye(tasks), np.ones((1, tasks))])
        bounds = np.append(np.ones(tasks), 1.0), np.append(np.zeros(tasks), 1.0)
        oracle = daqp.solve(gramian, np.zeros(tasks), rows, *bounds, np.zeros(tasks + 1, np.int32))[0]
        assert min_norm_weights(gramian) == pytest.approx(oracle, abs=1e-6)


@given(cases, some.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0, 2.0]))
@settings(max_examples=120)
def test_conflict_averse_weights_satisfy_their_optimality_conditions(case: Drawn, radius: float) -> None:
    jacobian = made(case)
    lengths = np.linalg.norm(jacobian, axis=1)
    centre = np.full(len(jacobian), 1 / len(jacobian))
    extra = conflict_averse_weights(jacobian @ jacobian.T, centre, radius)
    assert extra.min() >= 0
    overlap, added = relative(jacobian, (centre + extra) @ jacobian, centre + extra)
    reach = radius * np.linalg.norm(centre @ jacobian)
    spent = np.linalg.norm(extra @ jacobian)
    assert spent <= reach + TOLERANCE * added  # in the ball
    if not extra.any():
        # Nothing to gain, or no ball to gain it in.
        assert reach <= TOLERANCE * added or overlap[lengths > 0].min() >= -TOLERANCE
        return
    used = lengths > 0
    # <g_i, d> is least, and alike, on the support; the common value is the support's own mean.
    worst = extra @ (overlap * lengths) / extra.sum()
    slack = overlap[used] - worst / lengths[used]
    shares = (extra * lengths)[used] / (extra * lengths).max()
    assert slack.min() >= -1e-8
    assert np.abs(slack * shares).max() <= 1e-8
    # The ball binds, unless every gain is spent already: then the least gain is 0.
    assert spent >= reach - 1e-8 * added or abs(worst) <= 1e-8 * lengths[used].min()


@given(cases, some.booleans())
@settings(max_examples=80)
def test_bargains_balance(case: Drawn, uneven: bool) -> None:
    jacobian = made(case)
    lengths = np.linalg.norm(jacobian, axis=1)
    power = np.random.default_rng(case[-1]).uniform(0.5, 2, len(lengths)) if uneven else np.ones(len(lengths))
    weights = bargaining_weights(jacobian @ jacobian.T, power)
    used = lengths > 0
    assert (weights[used] > 0).all() and not weights[~used].any()
    scaled = (weights * lengths)[used]
    gains = jacobian[used] @ (weights @ jacobian) / lengths[used]
    assert np.abs(gains - power[used] / scaled).max(initial=0) <= TOLERANCE * scaled.sum()


def test_bargain_of_two_has_a_closed_form() -> None:
    for cosine in (-0.999999, -0.5, 0.0, 0.9):
        for ratio in (1e-12, 1.0, 1e12):
            gramian = np.array([[1.0, cosine * ratio], [cosine * ratio, ratio**2]])
            wanted = np.array([1.0, 1 / ratio]) / np.sqrt(1 + cosine)
            assert bargaining_weights(gramian, np.ones(2)) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize(
    "solve",
    [
        min_norm_weights,
        lambda gramian: dual_cone_weights(gramian, np.eye(len(gramian))),
        lambda gramian: conflict_averse_weights(gramian, np.full(len(gramian), 1 / len(gramian)), 0.5),
        lambda gramian: bargaining_weights(gramian, np.ones(len(gramian))),
    ],
)
def test_single_precision_gramians_of_dependent_gradients_are_solved(solve: Callable[[np.ndarray], np.ndarray]) -> None:
    for seed in range(10):
        rows = np.random.default_rng(seed).standard_normal((24, 6)).astype(np.float32)
        gramian = (rows @ rows.T).astype(np.float64)
        assert np.linalg.eigvalsh(gramian).min() < 0, "rounding left this Gramian positive, so it tests nothing"
        weights = solve(gramian)
        assert np.isfinite(weights).all() and weights.min() >= 0


def test_normalise_separates_scale_from_direction() -> None:
    cosines, norms = normalise(np.array([[4.0, 0.0, -3.0], [0.0, 0.0, 0.0], [-3.0, 0.0, 9.0]]))
    assert norms.tolist() == [2.0, 0.0, 3.0]
    assert cosines.tolist() == [[1.0, 0.0, -0.5], [0.0, 0.0, 0.0], [-0.5, 0.0, 1.0]]


@pytest.mark.parametrize("dimensions", [10, 19])
def test_where_no_direction_helps_every_projection_is_zero(dimensions: int) -> None:
    rows = np.random.default_rng(dimensions).standard_normal((40, dimensions)) * np.logspace(-3, 3, 40)[:, None]
    # The last gradient balances the others, so that only 0 is without conflict.
    jacobian = np.vstack([rows, -rows.sum(axis=0)])
    weights = dual_cone_weights(jacobian @ jacobian.T, np.eye(41)).T
    assert (weights >= np.eye(41)).all()
    added = np.abs(weights) @ np.linalg.norm(jacobian, axis=1)
    assert (np.linalg.norm(weights @ jacobian, axis=1) <= 1e-7 * added).all()
