"""Whether a table is still the one that was seen."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from accord.data import Table, fingerprint, open_table, what_changed

DATA = {"a": list(range(10)), "b": [f"t{i % 3}" for i in range(10)], "c": [0.5 * i for i in range(10)]}


def seen(**changes: object) -> Table:
    return open_table({name: column for name, column in {**DATA, **changes}.items() if column is not None})


def test_an_equal_table_has_not_changed_even_after_json() -> None:
    before = json.loads(json.dumps(fingerprint(seen())))
    assert what_changed(before, fingerprint(open_table(pa.table(DATA)))) == ""


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({name: column[:9] for name, column in DATA.items()}, "it has 9 rows and had 10"),
        ({"c": None}, "the column 'c' is gone"),
        ({"d": DATA["a"]}, "the column 'd' is new"),
        ({"a": [float(i) for i in range(10)]}, "column 'a' holds double and held int64"),
        ({"b": DATA["b"][::-1]}, "the values of 'b' differ"),
        ({"a": [0, *DATA["a"][1:9], 99], "c": [1.0, *DATA["c"][1:]]}, "the values of 'a', 'c' differ"),
    ],
)
def test_what_changed_is_named(changes: dict, words: str) -> None:
    assert words in what_changed(fingerprint(seen()), fingerprint(seen(**changes)))


def test_large_tables_are_sampled_and_sorting_them_is_noticed() -> None:
    values = np.random.default_rng(0).normal(size=20_000)
    before = fingerprint(open_table({"x": values}))
    assert what_changed(before, fingerprint(open_table({"x": values.copy()}))) == ""
    assert "'x'" in what_changed(before, fingerprint(open_table({"x": np.sort(values)})))


def test_columns_with_parts_inside_are_left_out() -> None:
    nested = pa.table({"x": [1, 2], "y": [[1], [2, 3]]})
    assert set(fingerprint(open_table(nested))["sample"]) == {"x"}
    assert fingerprint(open_table(nested.select(["y"])))["sample"] == {}
