import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.reporting.cosines import cosines
from accord.reporting.history import History, Series, mean_over_seeds
from accord.reporting.run import Run, TaskInfo
from accord.reporting.sections.curves import SMOOTH, smoothed


def table(*rows):
    names = ("run", "seed", "step", "phase", "name", "task", "other", "value")
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return {
        n: np.array(c, dtype=object if n in names[:1] + names[3:7] else None)
        for n, c in zip(names, columns, strict=True)
    }


def test_rows_become_sorted_series():
    history = History.from_columns(
        table(
            ("joint", 1, 20, "train", "loss", "a", "", 0.2),
            ("joint", 0, 20, "train", "loss", "a", None, 0.4),
            ("joint", 0, 10, "train", "loss", "a", "", 0.5),
            ("single:a", 0, 10, "train", "loss", "a", "", 0.9),
            ("joint", 0, 10, "train", "cosine", "a", "b", -0.3),
        )
    )
    found = history.find("joint", "train", "loss", "a")
    assert sorted(found) == [0, 1]
    assert found[0].steps.tolist() == [10, 20] and found[0].values.tolist() == [0.5, 0.4]
    assert history.find("single:a", "train", "loss", "a")[0].values.tolist() == [0.9]
    assert list(history.pairs()) == [("a", "b")]
    assert history.find("joint", "train", "nothing") == {}


def test_an_empty_table_has_no_series():
    empty = {n: np.array([]) for n in ("run", "seed", "step", "phase", "name", "task", "other", "value")}
    assert History.from_columns(empty).series == {}


def test_a_missing_column_is_named():
    with pytest.raises(KeyError, match="value"):
        History.from_columns({k: v for k, v in table(("j", 0, 1, "p", "n", "t", "", 1.0)).items() if k != "value"})


def test_mean_only_where_every_seed_is():
    seeds = {
        0: Series(np.array([1, 2, 3, 4]), np.array([1.0, 2.0, np.nan, 4.0])),
        1: Series(np.array([1, 2, 3]), np.array([3.0, 4.0, 5.0])),
    }
    mean = mean_over_seeds(seeds)
    assert mean.steps.tolist() == [1, 2] and mean.values.tolist() == [2.0, 3.0]
    assert mean_over_seeds({}).steps.size == 0


@given(st.integers(1, 5), st.integers(1, 40))
def test_mean_over_seeds_is_the_plain_mean(count, steps):
    values = np.random.default_rng(count).normal(size=(count, steps))
    mean = mean_over_seeds({s: Series(np.arange(steps), values[s]) for s in range(count)})
    np.testing.assert_allclose(mean.values, values.mean(axis=0))


def test_smoothing_keeps_the_mean_and_leaves_short_series_alone():
    short = Series(np.arange(SMOOTH), np.ones(SMOOTH))
    assert smoothed(short) is short
    long = Series(np.arange(1600), np.random.default_rng(0).normal(3.0, 1.0, 1600))
    smooth = smoothed(long)
    assert len(smooth.steps) == SMOOTH // 2
    assert smooth.values.mean() == pytest.approx(long.values.mean(), abs=0.02)
    assert smooth.values.std() < 0.5 * long.values.std()


def test_cosines_are_ordered_by_conflict_whatever_the_order_of_names():
    rows = [("joint", 0, s, "train", "cosine", "b", "a", v) for s, v in ((1, -0.5), (2, 0.1), (3, float("nan")))]
    rows += [("joint", 0, 1, "train", "cosine", "a", "c", -0.9), ("joint", 0, 1, "train", "cosine", "a", "ghost", 1.0)]
    tasks = [TaskInfo(i, name) for i, name in enumerate("abc")]
    pairs = cosines(Run("r", {}, tasks, History.from_columns(table(*rows))))
    assert [pair.name for pair in pairs] == ["a and c", "a and b"]
    assert pairs[1].mean == pytest.approx(-0.2) and pairs[1].conflict == 0.5
    np.testing.assert_allclose(pairs[1].windowed(np.array([1.0, 2.0, 3.0])), [-0.5, 0.1])
