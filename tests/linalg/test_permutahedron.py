"""Nearest points of the permutahedron, against generic solvers and SciPy's isotonic regression."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from scipy.optimize import isotonic_regression, linprog, minimize

from accord.linalg.permutahedron import assign, project, project_entropy


def problem(seed: int, size: int, zeros: bool = False) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    spectrum = np.sort(rng.dirichlet(np.ones(size)))
    if zeros:
        spectrum[: size // 2] = 0
    return rng.normal(size=size) * 10.0 ** rng.integers(-2, 2), spectrum / spectrum.sum()


def inside(point: np.ndarray, spectrum: np.ndarray) -> bool:
    """The hull of the permutations is what the spectrum majorises."""
    tails = np.cumsum(np.sort(point)[::-1]) - np.cumsum(spectrum[::-1])
    return bool((tails <= 1e-12).all()) and abs(tails[-1]) <= 1e-12


@settings(max_examples=60, deadline=None)
@given(some.integers(0, 10**6), some.integers(1, 30), some.booleans())
def test_the_nearest_point_is_that_of_isotonic_regression(seed: int, size: int, zeros: bool) -> None:
    scores, spectrum = problem(seed, size, zeros)
    order = np.argsort(scores)
    wanted = np.empty(size)
    wanted[order] = scores[order] - isotonic_regression(scores[order] - spectrum).x
    found = project(scores, spectrum)
    assert found == pytest.approx(wanted, abs=1e-12)
    assert inside(found, spectrum)


@settings(max_examples=60, deadline=None)
@given(some.integers(0, 10**6), some.integers(1, 5), some.booleans())
def test_the_entropic_point_beats_every_mixture_of_permutations(seed: int, size: int, zeros: bool) -> None:
    scores, spectrum = problem(seed, size, zeros)
    found = project_entropy(scores, spectrum)
    assert inside(found, spectrum) and found.min() > 0
    # The objective is concave, so the point is best exactly if no vertex lies uphill: its gradient there is
    # scores - log q - 1.
    slope = scores - np.log(found)
    assert max(np.array(vertex) @ slope for vertex in permutations(spectrum)) <= found @ slope + 1e-9


def test_the_entropic_point_is_what_a_generic_solver_finds() -> None:
    scores, spectrum = np.array([0.3, -0.2, 1.0]), np.array([0.1, 0.3, 0.6])
    tails = [list(chosen) for k in (1, 2) for chosen in combinations(range(3), k)]
    limits = [{"type": "ineq", "fun": lambda q, c=c: spectrum[::-1][: len(c)].sum() - q[c].sum()} for c in tails] + [
        {"type": "eq", "fun": lambda q: q.sum() - 1}
    ]
    result = minimize(
        lambda q: (q * np.log(q)).sum() - q @ scores,
        np.full(3, 1 / 3),
        constraints=limits,
        bounds=[(1e-9, 1)] * 3,
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    assert project_entropy(scores, spectrum) == pytest.approx(result.x, abs=1e-6)


def test_by_rank_is_the_best_permutation() -> None:
    scores, spectrum = np.array([3.0, 1.0, 2.0]), np.array([0.1, 0.2, 0.7])
    assert assign(scores, spectrum).tolist() == [0.7, 0.1, 0.2]
    assert assign(np.array([1.0, 1.0, 0.0]), spectrum) == pytest.approx([0.45, 0.45, 0.1])
    vertices = np.array(list(permutations(spectrum)))
    best = linprog(-vertices @ scores, A_eq=np.ones((1, 6)), b_eq=[1]).fun
    assert assign(scores, spectrum) @ scores == pytest.approx(-best)


@pytest.mark.parametrize("solve", [project, project_entropy])
def test_scores_of_any_size_keep_the_spectrum(solve: object) -> None:
    assert callable(solve)
    spectrum = np.array([0.1, 0.2, 0.3, 0.4])
    found = solve(np.array([-1e30, 0.0, -2e30, 0.0]), spectrum)
    assert found == pytest.approx([0.2, 0.35, 0.1, 0.35])
    assert solve(np.zeros(4), spectrum) == pytest.approx([0.25] * 4)
    assert solve(np.array([1e-30, 0.0, 0.0, 0.0]), spectrum) == pytest.approx([0.25] * 4)
