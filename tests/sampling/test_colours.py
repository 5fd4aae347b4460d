"""SON-GOKU: colourings, whose turn it is, and what is measured when."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.errors import ConfigurationError
from accord.sampling import SonGoku
from accord.sampling.colouring import colour, extended


@st.composite
def graphs(draw) -> np.ndarray:
    size = draw(st.integers(1, 6))
    edges = np.zeros((size, size), dtype=bool)
    for i, j in itertools.combinations(range(size), 2):
        edges[i, j] = edges[j, i] = draw(st.booleans())
    return edges


def chromatic(edges: np.ndarray) -> int:
    """The fewest colours, by trying all colourings."""
    size = len(edges)
    for colours in range(1, size + 1):
        for trial in itertools.product(range(colours), repeat=size):
            if not any(edges[i, j] and trial[i] == trial[j] for i, j in itertools.combinations(range(size), 2)):
                return colours
    raise AssertionError


@settings(max_examples=60, deadline=None)
@given(graphs())
def test_colourings_are_proper_and_small(edges: np.ndarray) -> None:
    classes = colour(edges)
    assert sorted(itertools.chain(*classes)) == list(range(len(edges)))
    assert not any(edges[i, j] for members in classes for i, j in itertools.combinations(members, 2))
    assert chromatic(edges) <= len(classes) <= edges.sum(axis=1).max() + 1


def test_tasks_with_most_conflicts_come_first() -> None:
    """The path 0 - 2 - 3 - 1 takes three colours in the order of its numbers, and two where the middle comes first."""
    edges = np.zeros((4, 4), dtype=bool)
    for i, j in ((0, 2), (2, 3), (3, 1)):
        edges[i, j] = edges[j, i] = True
    assert colour(edges) == [[1, 2], [0, 3]]


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(1, 3))
def test_further_visits_keep_colourings_proper(edges: np.ndarray, visits: int) -> None:
    classes = colour(edges)
    grown = extended(classes, edges, visits)
    assert all(set(before) <= set(after) for before, after in zip(classes, grown, strict=True))
    assert not any(edges[i, j] for members in grown for i, j in itertools.combinations(members, 2))
    for vertex in range(len(edges)):
        times = sum(vertex in members for members in grown)
        assert 1 <= times <= visits
        assert times == visits or all(vertex in members or edges[vertex, members].any() for members in grown)


# Cosine -0.5 between 0 and 1, the others at right angles.
GRAMIAN = torch.tensor([[4.0, -1.0, 0.0], [-1.0, 1.0, 0.0], [0.0, 0.0, 9.0]], dtype=torch.float64)


def test_by_hand() -> None:
    sampler = SonGoku(3, period=6)
    assert sampler(6).tolist() == [2, 2, 2]
    sampler.observe(gramian=GRAMIAN)
    assert sampler.interference().tolist() == [[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]]
    # 0 and 1 have one neighbour each, 2 has none and joins the first class: {0, 2}, {1}, in turn.
    turns = [sampler(6).tolist() for _ in range(5)]
    assert turns == [[3, 0, 3], [0, 6, 0], [3, 0, 3], [0, 6, 0], [3, 0, 3]]
    assert sampler(6).tolist() == [2, 2, 2]
    # What is seen now counts a tenth: the average turns to cosine 0.9 * -0.5 + 0.1 * 0.5 = -0.4.
    sampler.observe(gramian=GRAMIAN.abs())
    assert float(sampler.interference()[0, 1]) == pytest.approx(0.4)


def test_every_task_has_its_turn_in_every_round() -> None:
    generator = torch.Generator().manual_seed(0)
    sampler = SonGoku(6, period=13, threshold=0.1)
    for _ in range(3):
        drawn = sampler(12)
        rows = torch.randn(6, 3, generator=generator, dtype=torch.float64)
        sampler.observe(gramian=rows @ rows.T)
        seen = torch.zeros(6)
        for _ in range(12):
            drawn = sampler(12)
            seen += drawn > 0
            members = (drawn > 0).nonzero().flatten()
            among = sampler.interference()[members][:, members]
            assert (among <= 0.1).all()
        assert (seen >= 2).all()  # at most six classes, twelve turns


def test_absent_tasks_are_not_measured() -> None:
    sampler = SonGoku(3)
    sampler(3)
    sampler.observe(gramian=GRAMIAN)
    cosines = torch.tensor([[1.0, -0.5, 0.0], [-0.5, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    assert torch.equal(sampler.average, cosines)
    gone = GRAMIAN.clone()
    gone[0] = gone[:, 0] = 0.0
    sampler.observe(gramian=gone)
    assert torch.equal(sampler.average[0], cosines[0])
    gone[2, 2] = float("nan")
    sampler.observe(gramian=gone)
    assert torch.equal(sampler.average, cosines)


def test_gradients_that_grow_shorter_leave_no_old_quarrel() -> None:
    """Two tasks quarrel once, train in turns, and agree whenever both are measured from then on."""
    sampler = SonGoku(2, period=8)
    for step in range(8 * 12):
        taken = (sampler(8) > 0).double()
        cosine = 0.9 if step else -0.9
        gramian = 0.97 ** (2 * step) * torch.tensor([[1.0, cosine], [cosine, 1.0]], dtype=torch.float64)
        sampler.observe(gramian=gramian * taken * taken[:, None])
        assert float(sampler.interference().abs().max()) <= 1.0
    assert sampler(8).tolist() == sampler(8).tolist() == [4, 4]


def test_the_threshold_comes_down_in_its_logarithm() -> None:
    sampler = SonGoku(2, threshold=0.25, warmup=2, anneal=2)
    found = []
    for _ in range(6):
        found.append(sampler.current_threshold())
        sampler(2)
    assert found == pytest.approx([1.0, 1.0, 1.0, 0.5, 0.25, 0.25])


def test_without_news_nothing_interferes() -> None:
    sampler = SonGoku(3, period=2)
    assert all((sampler(9) == 3).all() for _ in range(6))


@pytest.mark.parametrize("options", [{"period": 1}, {"threshold": 1.0}, {"decay": -0.1}, {"visits": 0}])
def test_impossible_options_are_refused(options) -> None:
    with pytest.raises(ConfigurationError, match="got"):
        SonGoku(3, **options)
