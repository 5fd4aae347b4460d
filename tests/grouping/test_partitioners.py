"""Partitioners against brute force, planted groups, and what every partition must be."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.errors import ConfigurationError
from accord.grouping import Agglomerative, BranchAndBound, Budget, IntervalClustering, Partition, Spectral, shuffled
from accord.grouping.interval_clustering import intervals
from accord.grouping.local_search import improve, objective
from accord.grouping.partition import arrange, centred, gains_in

MAKERS = {
    "branch_and_bound": BranchAndBound,
    "disjoint": lambda: BranchAndBound(overlap=False),
    "agglomerative": Agglomerative,
    "spectral": Spectral,
    "interval_clustering": IntervalClustering,
}


def random_helps(seed: int, tasks: int) -> np.ndarray:
    return centred(np.random.default_rng(seed).normal(size=(tasks, tasks)))


def partitions(items: list[int]) -> Iterator[list[list[int]]]:
    """All set partitions."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for smaller in partitions(rest):
        for i, group in enumerate(smaller):
            yield [*smaller[:i], [first, *group], *smaller[i + 1 :]]
        yield [[first], *smaller]


def brute_disjoint(helps: np.ndarray, budget: Budget) -> float:
    return max(
        sum(gains_in(helps, group).sum() for group in groups)
        for groups in partitions(list(range(len(helps))))
        if budget.affords(sum(budget.cost(len(group)) for group in groups))
    )


def brute_overlapping(helps: np.ndarray, budget: Budget) -> float:
    """The best family of groups, whatever they overlap, each task served by its best."""
    tasks = len(helps)
    groups = [g for n in range(1, tasks + 1) for g in itertools.combinations(range(tasks), n)]
    gains = {g: dict(zip(g, gains_in(helps, g), strict=True)) for g in groups}
    best = -np.inf
    for count in range(1, tasks + 1):
        for family in itertools.combinations(groups, count):
            if budget.affords(sum(budget.cost(len(g)) for g in family)) and len(set().union(*family)) == tasks:
                best = max(best, sum(max(gains[g][t] for g in family if t in g) for t in range(tasks)))
    return best


BUDGETS = [Budget(1), Budget(2), Budget(3), Budget(1.7, group=0.5, task=0.125), Budget(2.6, group=0.9, task=0.1)]


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=6, deadline=None)
def test_branch_and_bound_is_exact_with_overlap(budget: Budget, seed: int) -> None:
    helps = random_helps(seed, 4)
    found = BranchAndBound()(helps, budget)
    assert budget.affords(found.cost(budget))
    assert sum(found.gains) == pytest.approx(brute_overlapping(helps, budget), abs=1e-9)


@pytest.mark.parametrize("budget", BUDGETS, ids=str)
@given(seed=st.integers(0, 10_000), tasks=st.integers(2, 7))
@settings(max_examples=8, deadline=None)
def test_branch_and_bound_is_exact_without_overlap(budget: Budget, seed: int, tasks: int) -> None:
    helps = random_helps(seed, tasks)
    found = BranchAndBound(overlap=False)(helps, budget)
    assert budget.affords(found.cost(budget))
    assert sum(found.gains) == pytest.approx(brute_disjoint(helps, budget), abs=1e-9)


@pytest.mark.parametrize("name", MAKERS)
@given(seed=st.integers(0, 10_000), tasks=st.integers(1, 8), limit=st.integers(1, 9))
@settings(max_examples=10, deadline=None)
def test_every_partition_is_one(name: str, seed: int, tasks: int, limit: int) -> None:
    helps, budget = random_helps(seed, tasks), Budget(limit)
    found: Partition = MAKERS[name]()(helps, budget)
    assert budget.affords(found.cost(budget)) and len(found.groups) <= limit
    assert list(found.groups) == sorted(set(found.groups))
    assert all(list(group) == sorted(set(group)) for group in found.groups)
    for task, (server, gain) in enumerate(zip(found.server, found.gains, strict=True)):
        group = found.groups[server]
        assert task in group
        others = [helps[i, task] for i in group if i != task]
        assert gain == pytest.approx(np.mean(others) if others else 0.0)
    assert sorted(t for served in found.served for t in served) == list(range(tasks))
    if name != "branch_and_bound":
        assert sum(map(len, found.groups)) == tasks


def planted(tasks: int, groups: int, noise: float, seed: int) -> tuple[np.ndarray, list[tuple[int, ...]]]:
    """An affinity of 0.5 within shuffled groups and -0.5 between them, with noise."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(tasks) % groups)
    same = labels[:, None] == labels[None, :]
    matrix = np.where(same, 0.5, -0.5) + noise * rng.normal(size=same.shape)
    return matrix, sorted(tuple(np.flatnonzero(labels == g).tolist()) for g in range(groups))


@pytest.mark.parametrize("name", ["branch_and_bound", "disjoint", "agglomerative", "spectral"])
def test_planted_groups_are_found(name: str) -> None:
    for seed in range(3):
        matrix, expected = planted(9, 3, 0.2, seed)
        assert list(MAKERS[name]()(matrix, Budget(3)).groups) == expected


@pytest.mark.parametrize("name", ["agglomerative", "spectral"])
def test_planted_groups_of_forty_tasks_are_found(name: str) -> None:
    matrix, expected = planted(40, 5, 0.5, 0)
    assert list(MAKERS[name]()(matrix, Budget(5)).groups) == expected


@pytest.mark.parametrize("name", ["agglomerative", "spectral"])
def test_clustering_comes_close_to_the_optimum(name: str) -> None:
    reached, best = 0.0, 0.0
    for seed in range(8):
        helps = random_helps(seed, 7)
        reached += sum(MAKERS[name]()(helps, Budget(3)).gains)
        best += brute_disjoint(helps, Budget(3))
    assert 0.97 * best <= reached <= best + 1e-9


@given(seed=st.integers(0, 10_000), tasks=st.integers(2, 9), count=st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_local_search_ends_where_no_move_or_swap_helps(seed: int, tasks: int, count: int) -> None:
    helps = random_helps(seed, tasks)
    start = np.random.default_rng(seed).integers(0, count, tasks)
    labels = improve(helps, start, count)
    value = objective(helps, labels, count)
    groups = [np.flatnonzero(labels == g) for g in range(count)]
    assert value == pytest.approx(sum(gains_in(helps, g).sum() for g in groups if len(g)))
    assert value >= objective(helps, start, count) - 1e-9
    for task, group in itertools.product(range(tasks), range(count)):
        moved = labels.copy()
        moved[task] = group
        assert objective(helps, moved, count) <= value + 1e-9
    for a, b in itertools.combinations(range(tasks), 2):
        swapped = labels.copy()
        swapped[[a, b]] = labels[[b, a]]
        assert objective(helps, swapped, count) <= value + 1e-9


@given(seed=st.integers(0, 10_000), tasks=st.integers(1, 8), count=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_intervals_are_the_cheapest(seed: int, tasks: int, count: int) -> None:
    costs = np.random.default_rng(seed).normal(size=(tasks, tasks))
    starts = intervals(costs, count)

    def total(cuts: tuple[int, ...]) -> float:
        ends = [*cuts[1:], tasks]
        return sum(costs[a, b - 1] for a, b in zip(cuts, ends, strict=True))

    every = [(0, *c) for n in range(min(count, tasks)) for c in itertools.combinations(range(1, tasks), n)]
    assert starts[0] == 0 and len(starts) <= count
    assert total(tuple(starts)) == pytest.approx(min(map(total, every)))


def test_interval_clustering_by_positions_and_by_affinity() -> None:
    helps = np.zeros((5, 5))
    by_position = IntervalClustering([10.0, 0.0, 11.0, 1.0, 2.0])(helps + 1, Budget(2))
    assert by_position.groups == ((0, 2), (1, 3, 4))
    matrix, _ = planted(6, 2, 0.0, 0)
    matrix = np.where(np.arange(6)[:, None] // 4 == np.arange(6)[None, :] // 4, 0.5, -0.5)
    assert IntervalClustering()(matrix, Budget(2)).groups == ((0, 1, 2, 3), (4, 5))
    with pytest.raises(ConfigurationError, match="2 positions for 5 tasks"):
        IntervalClustering([1.0, 2.0])(helps + 1, Budget(2))


def test_an_interval_is_judged_by_its_middle_task() -> None:
    # Around its middle, 4 to 8 costs 2.5^2 + 1.5^2, less than 0 to 4 and 6.5 to 8 with 4^2 + 1.5^2; around its first
    # it would cost 2.5^2 + 4^2, more than these.
    assert IntervalClustering([0.0, 4.0, 6.5, 8.0])(np.zeros((4, 4)), Budget(2)).groups == ((0,), (1, 2, 3))
    for seed in range(5):
        helps = random_helps(seed, 6)

        def loss(cut: int, helps: np.ndarray = helps) -> float:
            parts = (range(cut), range(cut, 6))
            return -sum(helps[i, part[(len(part) - 1) // 2]] for part in parts for i in part)

        found = IntervalClustering()(helps, Budget(2)).groups
        assert len(found) == 1 or loss(len(found[0])) == pytest.approx(min(map(loss, range(1, 6))))


def test_the_mean_is_neutral_where_the_scale_has_no_neutral_point() -> None:
    matrix, expected = planted(6, 2, 0.0, 1)
    shifted = 0.9 + matrix / 10  # all similar, as representations are
    assert list(BranchAndBound()(shifted, Budget(2), neutral=None).groups) == expected
    assert sum(BranchAndBound()(shifted, Budget(1), neutral=None).gains) == pytest.approx(0.0)


def test_helpers_are_worth_training_along() -> None:
    # Task 0 helps 1 and 2, which hurt each other: it is in both groups and served by one.
    helps = np.array([[0, 1.0, 1.0], [0.5, 0, -1.0], [0.5, -1.0, 0]])
    found = BranchAndBound()(helps, Budget(2))
    assert found.groups == ((0, 1), (0, 2)) and sum(found.gains) == pytest.approx(2.5)


def test_what_cannot_be_divided_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="up to 12 tasks, not 13"):
        BranchAndBound()(np.ones((13, 13)), Budget(2))
    with pytest.raises(ConfigurationError, match=r"shape \[T, T\]"):
        Agglomerative()(torch.ones(2, 3), Budget(2))
    with pytest.raises(ConfigurationError, match="knows of no pair"):
        Agglomerative()(torch.full((3, 3), torch.nan), Budget(2))
    with pytest.raises(ConfigurationError, match="does not pay for one group"):
        Spectral()(torch.ones(3, 3), Budget(0.5, group=0.4, task=0.2))
    with pytest.raises(ConfigurationError, match="limit > 0"):
        Budget(0)
    with pytest.raises(ConfigurationError, match="task 2 is in no group"):
        arrange(np.zeros((3, 3)), [[0, 1]])


def test_unknown_pairs_count_as_neutral() -> None:
    matrix = torch.tensor([[torch.nan, 1.0, torch.nan], [1.0, 0, -1.0], [torch.nan, -1.0, 0]])
    assert centred(matrix).tolist() == [[0, 1, 0], [1, 0, -1], [0, -1, 0]]


@given(seed=st.integers(0, 1000), tasks=st.integers(2, 8))
@settings(max_examples=20, deadline=None)
def test_a_shuffle_keeps_sizes_cost_and_service(seed: int, tasks: int) -> None:
    helps, budget = random_helps(seed, tasks), Budget(3)
    found = BranchAndBound()(helps, budget)
    other = shuffled(found, helps, seed)
    assert sorted(map(len, other.groups)) == sorted(map(len, found.groups))
    assert sorted(map(len, other.served)) == sorted(map(len, found.served))
    assert other.cost(budget) == pytest.approx(found.cost(budget))
    for task, (server, gain) in enumerate(zip(other.server, other.gains, strict=True)):
        group = other.groups[server]
        others = [helps[i, task] for i in group if i != task]
        assert task in group and gain == pytest.approx(np.mean(others) if others else 0.0)
    assert shuffled(found, helps, seed) == other
