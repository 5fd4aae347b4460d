"""Rows by a sampler's counts: every example in its turn, the same after a stop, dealt out among processes."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from accord.errors import ConfigurationError, DataError
from accord.sampling import UCB, Batches, Proportional, Temperature, Uniform


def numbers(size: int, start: int = 0) -> TensorDataset:
    return TensorDataset(torch.arange(start, start + size))


def rows(batch, name) -> list[int]:
    return batch[name][0].tolist() if name in batch else []


def loader(size: int, start: int = 0, **options) -> DataLoader:
    return DataLoader(numbers(size, start), batch_size=4, **options)


def shuffled(size: int) -> DataLoader:
    return loader(size, shuffle=True, generator=torch.Generator())


@pytest.mark.parametrize("source", [numbers, loader, shuffled])
def test_an_epoch_sees_every_example_once(source) -> None:
    batches = Batches(Proportional([10, 30]), {"small": source(10), "large": source(30)}, rows=8)
    seen: dict[str, list[int]] = {"small": [], "large": []}
    for _ in range(12):
        batch = next(batches)
        for name in seen:
            seen[name] += rows(batch, name)
        assert [len(rows(batch, name)) for name in seen] == batches.counts.tolist()
        assert batches.counts.sum() == 8
    for name, size in (("small", 10), ("large", 30)):
        for start in range(0, len(seen[name]) - size + 1, size):
            assert sorted(seen[name][start : start + size]) == list(range(size))
    if source is not loader:
        assert seen["large"][:30] != sorted(seen["large"][:30])
        assert seen["large"][:30] != seen["large"][30:60]


@pytest.mark.parametrize("source", [numbers, loader, shuffled])
@pytest.mark.parametrize("before", [0, 1, 5, 9])
def test_a_resumed_run_draws_the_same_rows(source, before: int) -> None:
    def make() -> Batches:
        return Batches(Temperature([7, 19]), {"a": source(7), "b": source(19)}, rows=6, seed=3)

    first, second = make(), make()
    for _ in range(before):
        next(first)
    next(second)  # a state may also be loaded into one that was used
    second.load_state_dict({key: value.clone() for key, value in first.state_dict().items()})
    for _ in range(9):
        expected, found = next(first), next(second)
        assert {name: rows(expected, name) for name in expected} == {name: rows(found, name) for name in found}
        assert torch.equal(first.counts, second.counts)


def test_seeds_and_tasks_are_shuffled_apart() -> None:
    def order(seed: int) -> list[list[int]]:
        batches = Batches(Uniform(2, mix="shares"), [numbers(20), numbers(20)], rows=40, seed=seed)
        batch = next(batches)
        return [rows(batch, 0), rows(batch, 1)]

    (one, two), (three, _) = order(0), order(1)
    assert one != two and one != three and sorted(one) == sorted(two)


@pytest.mark.parametrize("source", [numbers])
def test_processes_share_the_rows_out(source) -> None:
    def make(rank: int, world: int) -> Batches:
        return Batches(Proportional([9, 30]), [source(9), source(30)], rows=7, rank=rank, world=world)

    whole, parts = make(0, 1), [make(rank, 3) for rank in range(3)]
    for _ in range(10):
        expected, found = next(whole), [next(part) for part in parts]
        for name in (0, 1):
            dealt = Counter(number for part in found for number in rows(part, name))
            assert dealt == Counter(rows(expected, name))
        assert all(torch.equal(part.counts, whole.counts) for part in parts)


def test_structures_of_loaders_are_kept() -> None:
    class Loader:
        def __iter__(self):
            for start in (0, 3, 6):
                x = torch.arange(start, start + 3)
                yield {"x": x, "pair": (x, [x * 10]), "note": "fixed"}

    batch = next(Batches(Uniform(1), {"one": Loader()}, rows=5))["one"]
    assert batch["x"].tolist() == [0, 1, 2, 3, 4] and batch["note"] == "fixed"
    assert isinstance(batch["pair"], tuple) and batch["pair"][1][0].tolist() == [0, 10, 20, 30, 40]


def test_news_by_name_reaches_the_sampler() -> None:
    sampler = UCB(2)
    batches = Batches(sampler, {"a": numbers(5), "b": numbers(5)}, rows=2)
    next(batches)
    batches.observe(rewards={"a": torch.tensor(0.25)}, losses={"a": 1.0, "b": None})
    assert sampler.sums.tolist() == [0.25, 0.0] and sampler.counts.tolist() == [1.0, 0.0]
    with pytest.raises(ConfigurationError, match="there is no task 'c'"):
        batches.observe(rewards={"c": 0.5})


def test_each_task_has_its_own_batch_size() -> None:
    batches = Batches(UCB(2), [numbers(50), numbers(50)], rows=[8, 3])
    assert [len(rows(next(batches), 0)), len(rows(next(batches), 1))] == [8, 3]


class Empty:
    def __iter__(self):
        return iter(())


def test_impossible_sources_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="made for 2 tasks; got 1"):
        Batches(Uniform(2), [numbers(3)], rows=2)
    with pytest.raises(ConfigurationError, match="neither a data set"):
        Batches(Uniform(1), {"a": iter([torch.zeros(3)])}, rows=2)
    with pytest.raises(ConfigurationError, match="below world"):
        Batches(Uniform(1), [numbers(3)], rows=2, rank=1)
    with pytest.raises(DataError, match="the data set of task a is empty"):
        Batches(Uniform(1), {"a": numbers(0)}, rows=2)
    with pytest.raises(DataError, match="the loader of task a has no rows"):
        next(Batches(Uniform(1), {"a": Empty()}, rows=2))
    uneven = [[torch.zeros(2), torch.zeros(3)]]
    with pytest.raises(DataError, match="one number of rows"):
        next(Batches(Uniform(1), {"a": DataLoader(uneven, batch_size=None, collate_fn=list)}, rows=2))
