"""Projections onto the dual cone where gradients are dependent, opposed or many, against those in their own space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import nnls

from accord.linalg import dual_cone, dual_cone_weights, normalise, positive_definite
from accord.linalg.modulus import likely_multipliers
from accord.testing import FAMILIES


def drawn(kind: str, tasks: int, dimensions: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, tasks, dimensions])
    rows = rng.standard_normal((tasks, dimensions))
    if kind == "opposed":
        rows[1::2] = 0.1 * rows[1::2] - rows[: 2 * (tasks // 2) : 2]
    return rows + (0.4 * rng.standard_normal(dimensions) if kind == "common" else 0.0)


def projections(jacobian: np.ndarray) -> np.ndarray:
    """Each unit gradient's projection, by least squares over its coordinates and no Gramian; 0 for a zero one."""
    lengths = np.linalg.norm(jacobian, axis=1, keepdims=True)
    units = np.divide(jacobian, lengths, out=np.zeros_like(jacobian), where=lengths > 0)
    used = units[lengths[:, 0] > 0]
    return np.stack([unit + used.T @ nnls(used.T, -unit, maxiter=100 * len(units))[0] for unit in units])


def found(jacobian: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(jacobian, axis=1, keepdims=True)
    weights = dual_cone_weights(jacobian @ jacobian.T, np.eye(len(jacobian)))
    return np.divide(weights.T @ jacobian, lengths, out=np.zeros_like(jacobian), where=lengths > 0)


def residual(jacobian: np.ndarray, weights: np.ndarray) -> float:
    """How far the weights ``[T, T]`` of all projections are from their conditions, in units of the lengths added up."""
    lengths = np.linalg.norm(jacobian, axis=1)
    used = lengths > 0
    units, shares = jacobian[used] / lengths[used, None], (weights * lengths[:, None])[:, used]
    added = shares.sum(axis=0)
    overlaps = (units @ (weights.T @ jacobian)[used].T) / added
    moved = shares[used] - np.diag(lengths[used])
    assert moved.min() >= 0
    return max(-overlaps.min(), np.abs(moved / added * overlaps).max())


# T/2 dimensions leave a direction to some draws and none to others; both are here.
@pytest.mark.parametrize("kind", ["normal", "common", "opposed"])
@pytest.mark.parametrize(("tasks", "dimensions"), [(72, 36), (73, 40), (72, 16), (72, 72), (40, 22), (9, 5)])
def test_projections_of_dependent_gradients_are_those_in_their_own_space(
    kind: str, tasks: int, dimensions: int
) -> None:
    for seed in range(2):
        jacobian = drawn(kind, tasks, dimensions, seed)
        assert found(jacobian) == pytest.approx(projections(jacobian), abs=1e-6)


def test_both_ways_are_met() -> None:
    lengths = [np.linalg.norm(projections(drawn("normal", 72, 36, seed)), axis=1).max() for seed in range(8)]
    assert min(lengths) < 1e-6 and max(lengths) > 0.05, "these draws leave a direction to all or none"


@pytest.mark.parametrize(("many", "large"), [(0.0, 1), (0.0, 1000), (1000.0, 1)])
def test_every_way_to_a_left_over_problem_ends_at_the_same_projection(
    monkeypatch: pytest.MonkeyPatch, many: float, large: int
) -> None:
    # From the guess, from nothing, and without a guess at all.
    monkeypatch.setattr(dual_cone, "MANY", many)
    monkeypatch.setattr(dual_cone, "LARGE", large)
    for tasks, dimensions, seed in ((24, 12, 0), (40, 22, 1), (72, 36, 1), (72, 36, 4)):
        jacobian = drawn("normal", tasks, dimensions, seed)
        assert found(jacobian) == pytest.approx(projections(jacobian), abs=1e-6)


def test_zero_gradients_do_not_disturb_the_balance_of_the_others() -> None:
    # Twenty gradients in thirteen dimensions, and twenty of 0: what rounding makes of those is no direction.
    for seed in range(4):
        jacobian = FAMILIES["zero rows"](np.random.default_rng([40, 13, seed]), 40, 13)
        assert found(jacobian) == pytest.approx(projections(jacobian), abs=1e-6)


def test_one_opposed_pair_is_held_and_the_others_keep_their_direction() -> None:
    for tasks in (9, 40, 72):
        jacobian = drawn("common", tasks, 2 * tasks)
        jacobian[1] = -3.0 * jacobian[0]
        wanted = projections(jacobian)
        assert found(jacobian) == pytest.approx(wanted, abs=1e-6)
        assert np.linalg.norm(wanted[:2]) < 1e-6 and np.linalg.norm(wanted[2:], axis=1).min() > 0.1


@given(
    some.sampled_from([family for family in FAMILIES if family != "zero"]),
    some.integers(1, 40),
    some.integers(1, 40),
    some.booleans(),
    some.integers(0, 2**31),
)
@settings(max_examples=100, deadline=None)
def test_conditions_hold_at_any_rank_and_either_precision(
    family: str, tasks: int, dimensions: int, single: bool, seed: int
) -> None:
    rows = FAMILIES[family](np.random.default_rng(seed), tasks, dimensions)
    jacobian = (rows / (np.abs(rows).max() or 1.0)).astype(np.float32 if single else np.float64)
    weights = dual_cone_weights((jacobian @ jacobian.T).astype(np.float64), np.eye(tasks))
    if (jacobian**2).any():
        assert residual(jacobian.astype(np.float64), weights) <= (1e-6 if single else 1e-9)


@pytest.mark.parametrize("kind", ["normal", "common", "opposed"])
@pytest.mark.parametrize("dimensions", [16, 128, 256])
def test_conditions_hold_for_a_batch_of_objectives_in_single_precision(kind: str, dimensions: int) -> None:
    rows = drawn(kind, 256, dimensions) * 10.0 ** np.random.default_rng(1).uniform(-6, 6, (256, 1))
    # Within the range of single precision's squares.
    jacobian = rows.astype(np.float32)
    gramian = (jacobian @ jacobian.T).astype(np.float64)
    weights = dual_cone_weights(gramian, np.eye(256))
    assert residual(jacobian.astype(np.float64), weights) <= 1e-6
    assert np.array_equal(weights, dual_cone_weights(gramian, np.eye(256)))


def test_rank_is_not_read_off_the_rounding_of_single_precision() -> None:
    for seed in range(10):
        rows = np.random.default_rng(seed).standard_normal((64, 8)).astype(np.float32)
        cosines, _ = normalise((rows @ rows.T).astype(np.float64))
        assert (np.abs(np.linalg.eigvalsh(cosines)) > 1e-9).sum() > 40, "no rounding, so this tests nothing"
        definite = positive_definite(cosines)
        assert (np.linalg.eigvalsh(definite) > 1e-9).sum() <= 12
        assert definite == pytest.approx(cosines, abs=2e-6)


@pytest.mark.parametrize("kind", ["normal", "common", "opposed"])
@pytest.mark.parametrize("dimensions", [32, 64, 256])
def test_guesses_are_near_a_solution(kind: str, dimensions: int) -> None:
    cosines, _ = normalise((rows := drawn(kind, 64, dimensions)) @ rows.T)
    guess = likely_multipliers(cosines, cosines)
    slack = guess @ cosines + cosines
    assert guess.min() >= 0
    # Of each pair one has to be 0 and the other not below: both were up to 1 at the outset.
    assert np.abs(np.minimum(guess, slack)).mean() < 0.01
