"""Volumes against another library, closed forms and finite differences; dominance against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from accord.errors import DataError
from accord.pareto import crowding, hypervolume, non_dominated, problems, ranks

moocore = pytest.importorskip("moocore")
REFERENCE = 0.9
# Points of few different coordinates have ties, duplicates and points on the reference.
sets = some.tuples(some.integers(1, 5), some.integers(0, 25), some.integers(0, 2**31), some.sampled_from([None, 1]))


def drawn(case: tuple[int, int, int, int | None]) -> np.ndarray:
    objectives, count, seed, digits = case
    points = np.random.default_rng(seed).random((count, objectives))
    return points if digits is None else np.round(points, digits)


@given(sets)
@settings(max_examples=150, deadline=None)
def test_volume_agrees_with_another_library(case: tuple[int, int, int, int | None]) -> None:
    points = drawn(case)
    if points.shape[1] == 1:
        wanted = max(0.0, REFERENCE - points.min()) if len(points) else 0.0
    else:
        wanted = moocore.hypervolume(points, np.full(points.shape[1], REFERENCE)) if len(points) else 0.0
    assert float(hypervolume(points, [REFERENCE] * points.shape[1])) == pytest.approx(wanted, abs=1e-12)


@given(some.integers(1, 4), some.integers(1, 12), some.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_slopes_agree_with_differences(objectives: int, count: int, seed: int) -> None:
    points = np.random.default_rng(seed).random((count, objectives))
    reference = [REFERENCE] * objectives
    variable = torch.tensor(points, requires_grad=True)
    hypervolume(variable, reference).backward()
    assert variable.grad is not None
    steps = np.eye(points.size).reshape(points.size, *points.shape) * 1e-6
    slopes = [
        float(hypervolume(points + step, reference) - hypervolume(points - step, reference)) / 2e-6 for step in steps
    ]
    # Within a step of each other or of the reference, points change places and there is no slope.
    near = min(np.abs(np.diff(np.sort(np.append(column, REFERENCE)))).min() for column in points.T)
    if near > 1e-5:
        assert variable.grad.numpy().ravel() == pytest.approx(np.array(slopes), abs=1e-6)


def test_a_staircase_by_hand() -> None:
    points = torch.tensor([[1.0, 3.0], [2.0, 1.0], [3.0, 3.0]], requires_grad=True)
    volume = hypervolume(points, [4.0, 4.0])
    volume.backward()
    # 3 x 1 above (1, 3), and 2 x 2 more from (2, 1) below it; (3, 3) is dominated.
    assert volume.item() == 3 * 1 + 2 * 2
    assert points.grad is not None and points.grad.tolist() == [[-1.0, -1.0], [-2.0, -2.0], [0.0, 0.0]]


@pytest.mark.parametrize("problem", [problems.vlmop1(), problems.vlmop2(), problems.zdt1(), problems.zdt2()])
def test_fronts_have_the_volume_that_the_problems_say(problem: problems.Problem) -> None:
    found = float(hypervolume(problem.front(4000), [1.1, 1.1]))
    assert problem.volume(1.1) * 0.999 < found < problem.volume(1.1)


def test_published_volumes() -> None:
    assert problems.vlmop2().volume(1.0) == pytest.approx(0.342113, abs=5e-6)
    assert problems.zdt1().volume(1.1) == pytest.approx(0.876667, abs=1e-6)
    assert problems.zdt2().volume(1.1) == pytest.approx(0.543333, abs=1e-6)
    assert problems.dtlz2(2).volume(1.1) == pytest.approx(0.424602, abs=1e-6)
    assert problems.dtlz2(3).volume(1.1) == pytest.approx(0.807401, abs=1e-6)


@pytest.mark.parametrize(
    "problem", [problems.vlmop2(), problems.vlmop2(7), problems.zdt1(), problems.zdt2(), problems.dtlz2()]
)
def test_no_decision_beats_the_front(problem: problems.Problem) -> None:
    low, high = problem.bounds
    rng = torch.Generator().manual_seed(0)
    decisions = low + (high - low) * torch.rand(2000, problem.variables, generator=rng, dtype=torch.float64)
    objectives = problem.objectives(decisions)
    front = problem.front(3000)
    # How much worse than the decision the front's best point is somewhere: at most the gaps between its points.
    behind = torch.stack([(front - point).amax(dim=1).min() for point in objectives])
    assert behind.max() <= 0.03


@given(sets)
@settings(max_examples=100, deadline=None)
def test_dominance_by_definition(case: tuple[int, int, int, int | None]) -> None:
    points = drawn(case)
    dominated = [any((q <= p).all() and (q < p).any() for q in points) for p in points]
    assert non_dominated(points).tolist() == [not d for d in dominated]
    if len(points) and points.shape[1] > 1:
        assert ranks(points).tolist() == moocore.pareto_rank(points).tolist()


def test_crowding_by_hand() -> None:
    points = torch.tensor([[0.0, 4.0], [1.0, 3.0], [4.0, 0.0]])
    assert crowding(points).tolist() == [float("inf"), 2.0, float("inf")]


def test_bad_points_are_named() -> None:
    with pytest.raises(DataError, match=r"points\[1\] is \[0.0, nan\]"):
        hypervolume(torch.tensor([[0.0, 0.0], [0.0, torch.nan]]), [1, 1])
    with pytest.raises(DataError, match="each of 2 objectives"):
        hypervolume(torch.zeros(1, 2), [1.0])
    with pytest.raises(DataError, match=r"\[n, m\]"):
        non_dominated(torch.zeros(3))
