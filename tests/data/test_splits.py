from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.data import Split, Table, open_table, split
from accord.data.splits import METHODS
from accord.data.stratify import label_codes, stratified
from accord.errors import ConfigurationError, DataError


def rows(n: int, **columns: object) -> Table:
    return open_table({"x": np.arange(n) / 3, **columns})


def whole(parts: Split, n: int) -> bool:
    together = np.concatenate(parts)
    return len(together) == n and np.array_equal(np.sort(together), np.arange(n))


@settings(max_examples=40)
@given(st.integers(10, 300), st.sampled_from(METHODS[1:]), st.integers(0, 5))
def test_every_row_is_in_one_part_and_the_seed_decides(n: int, method: str, seed: int) -> None:
    table = rows(n, g=np.arange(n) // 2)
    column = {"grouped": "g", "time": "x"}.get(method)
    parts = split(table, method, column=column, validation=0.2, test=0.3, seed=seed)
    assert whole(parts, n) and all(part.dtype == np.int64 and (np.diff(part) > 0).all() for part in parts)
    assert abs(len(parts.test) - 0.3 * n) <= 2 and abs(len(parts.validation) - 0.2 * n) <= 2
    again = split(table, method, column=column, validation=0.2, test=0.3, seed=seed)
    assert all(np.array_equal(a, b) for a, b in zip(parts, again, strict=True))


def test_another_seed_draws_other_rows() -> None:
    table = rows(100)
    assert not np.array_equal(split(table, "random", seed=0).test, split(table, "random", seed=1).test)


def test_rows_of_one_group_stay_together() -> None:
    groups = np.random.default_rng(0).zipf(1.5, 1000) % 60
    parts = split(rows(1000, g=groups), "grouped", column="g")
    sets = [set(groups[part]) for part in parts]
    assert not (sets[0] & sets[1] or sets[0] & sets[2] or sets[1] & sets[2])
    with pytest.raises(DataError, match="has 2 group"):
        split(rows(10, g=[0, 1] * 5), "grouped", column="g")


def test_rows_without_a_group_are_free() -> None:
    parts = split(rows(100, g=[None] * 100), "grouped", column="g", test=0.2)
    assert len(parts.test) == 20


@pytest.mark.parametrize("written", [False, True])
def test_time_never_runs_backwards(written: bool) -> None:
    days = np.random.default_rng(0).integers(0, 40, 500)
    stamps = np.datetime64("2024-01-01") + days
    values = [f"{d.astype(object):%d.%m.%Y}" for d in stamps] if written else stamps
    parts = split(rows(500, t=values), "time", column="t")
    assert whole(parts, 500)
    assert days[parts.train].max() < days[parts.validation].min()
    assert days[parts.validation].max() < days[parts.test].min()


def test_time_must_be_known() -> None:
    with pytest.raises(DataError, match="no time in row 3"):
        split(rows(10, t=[1, 2, 3, None, 5, 6, 7, 8, 9, 10]), "time", column="t")
    with pytest.raises(DataError, match="no row of 10 falls into the train part"):
        split(rows(10, t=[1] * 10), "time", column="t")


def labels_of(n: int, seed: int) -> list[np.ndarray]:
    """Three dependent targets, one rare, one with missing labels, one numeric."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=n)
    rare = (hidden + 0.5 * rng.normal(size=n) > 2.2).astype(np.int32)
    kind = np.digitize(hidden + rng.normal(size=n), [-2, 0, 1, 2]).astype(np.int32)
    kind[rng.random(n) < 0.1] = -1
    return [rare, kind, np.exp(hidden + rng.normal(size=n))]


def deviation(targets: list[np.ndarray], part: np.ndarray, share: float) -> float:
    """Mean difference, in rows, between a label's count in a part and its share of all rows with that label."""
    errors = [
        np.abs(np.bincount(column[part], minlength=column.max() + 1) - share * np.bincount(column))
        for column in label_codes(targets).T
    ]
    return float(np.concatenate(errors).mean())


@pytest.mark.parametrize("seed", range(8))
def test_stratification_balances_all_targets_at_once(seed: int) -> None:
    targets = labels_of(2000, seed)
    ours, drawn = (split(rows(2000), how, targets=targets, seed=seed) for how in ("stratified", "random"))
    for name, share in (("test", 0.2), ("validation", 0.1)):
        balanced = deviation(targets, getattr(ours, name), share)
        assert balanced < 0.8
        assert balanced < deviation(targets, getattr(drawn, name), share) / 3


def test_repeated_combinations_are_dealt_exactly() -> None:
    codes = np.repeat(np.array([[0, 0], [0, 1], [1, 1]]), [100, 50, 10], axis=0)
    parts = stratified(codes, (0.7, 0.1, 0.2), np.random.default_rng(0))
    for combination, size in (((0, 0), 100), ((0, 1), 50), ((1, 1), 10)):
        chosen = parts[(codes == combination).all(axis=1)]
        assert np.bincount(chosen, minlength=3).tolist() == [0.7 * size, 0.1 * size, 0.2 * size]


def test_rare_labels_of_unique_rows_reach_every_part() -> None:
    # Multilabel rows that never repeat: only the iterative step can balance them.
    rng = np.random.default_rng(0)
    labels = (rng.random((600, 20)) < 0.1).astype(np.int64)
    parts = stratified(labels, (0.5, 0.25, 0.25), rng)
    assert np.bincount(parts).tolist() == pytest.approx([300, 150, 150], abs=6)
    for column in labels.T:
        shares = np.bincount(parts[column == 1], minlength=3) / column.sum()
        assert shares == pytest.approx([0.5, 0.25, 0.25], abs=0.06)


def test_given_by_column() -> None:
    named = ["Train", "training", "VAL", "test"] * 5
    parts = split(rows(20, part=named), "given", column="part")
    assert parts.validation.tolist() == list(range(2, 20, 4)) and parts.test.tolist() == list(range(3, 20, 4))
    half = split(rows(40, part=["train"] * 30 + ["test"] * 10), "given", column="part", validation=0.2)
    assert half.test.tolist() == list(range(30, 40)) and len(half.validation) == 6
    with pytest.raises(DataError, match="'tset' is no part"):
        split(rows(4, part=["train", "tset", "val", "test"]), "given", column="part")
    with pytest.raises(DataError, match="part row 1 belongs"):
        split(rows(4, part=["train", None, "val", "test"]), "given", column="part")


def test_given_by_table() -> None:
    table = open_table({"x": np.arange(90)}, test={"x": np.arange(30)})
    with pytest.raises(DataError, match=r"split table\.joined\(\)"):
        split(table, "given")
    parts = split(table.joined(), "given", validation=1 / 9)
    assert parts.test.tolist() == list(range(90, 120)) and len(parts.validation) == 10 and whole(parts, 120)
    with pytest.raises(DataError, match="gives no split"):
        split(rows(10), "given")


def test_targets_must_be_usable_in_every_part() -> None:
    n = 40
    table = rows(n, t=np.arange(n))
    late = np.where(np.arange(n) < 35, 0, 1).astype(np.int32)
    with pytest.raises(DataError, match="target late is constant in the train rows"):
        split(table, "time", column="t", targets={"late": late})
    gone = np.where(np.arange(n) < 32, np.arange(n) * 1.0, np.nan)
    with pytest.raises(DataError, match="target gone has no label in the test rows"):
        split(table, "time", column="t", targets={"gone": gone})
    with pytest.raises(DataError, match="target 1 is constant in the validation rows"):
        split(table, "time", column="t", targets=[np.r_[np.tile([0, 1], 14), [1] * 4, [0, 1] * 4].astype(np.int32)])
    steady = np.r_[np.arange(28.0), [5.0] * 4, np.arange(8.0)]
    split(table, "time", column="t", targets={"steady": steady, "wide": np.stack([steady, gone], axis=1)})
    with pytest.raises(DataError, match="has 3 labels for 40 rows"):
        split(table, "random", targets={"y": np.zeros(3)})


def test_arguments_are_checked() -> None:
    table = rows(10)
    with pytest.raises(ConfigurationError, match=r"unknown split method 'stratifed'. Did you mean 'stratified'"):
        split(table, "stratifed")
    with pytest.raises(ConfigurationError, match="leave no rows for training"):
        split(table, validation=0.5, test=0.5)
    with pytest.raises(ConfigurationError, match=r"at least 0 and below 1, got -0\.1"):
        split(table, test=-0.1)
    with pytest.raises(ConfigurationError, match="needs column="):
        split(table, "time")
    with pytest.raises(DataError, match="no column 'tme'"):
        split(table, "time", column="tme")
    with pytest.raises(DataError, match="a split needs at least 3"):
        split(rows(1))
    with pytest.raises(DataError, match="no row of 3 falls into the validation part"):
        split(rows(3))
    assert len(split(rows(10), validation=0, test=0.2).validation) == 0


def test_given_by_a_table_beside() -> None:
    table, said = rows(6), ["test", "train", "dev", "train", "train", "train"]
    parts = split(table, "given", beside=rows(6, part=said))
    assert [part.tolist() for part in parts] == [[1, 3, 4, 5], [2], [0]]
    named = split(table, "given", beside=rows(6, where=said), column="where")
    assert all(np.array_equal(a, b) for a, b in zip(parts, named, strict=True))
    with pytest.raises(DataError, match=r"has 5 rows and .* 6"):
        split(table, "given", beside=rows(5, part=said[:5]))
    with pytest.raises(DataError, match="part"):
        split(table, "given", beside=rows(6))
    with pytest.raises(ConfigurationError, match="'given', not 'random'"):
        split(table, "random", beside=rows(6, part=said))
