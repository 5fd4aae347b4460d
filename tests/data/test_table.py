from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.data import Table, concat, open_table
from accord.errors import DataError


def test_facts_and_columns(people: pa.Table) -> None:
    table = open_table(people)
    assert len(table) == table.num_rows == 40
    assert table.names == ("income", "colour", "member", "since", "clicked")
    assert table.types["colour"] == "string" and table.types["since"].startswith("date32")
    np.testing.assert_array_equal(table.numbers(["income"])[:, 0], people["income"].to_numpy())
    codes, categories = table.codes("colour")
    assert categories == ("blue", "green", "red")
    assert [categories[c] if c >= 0 else None for c in codes] == people["colour"].to_pylist()
    assert codes.dtype == np.int32
    assert table.numbers(["since"])[1, 0] - table.numbers(["since"])[0, 0] == 11 * 86_400


def test_categories_that_are_numbers_are_ordered_by_value() -> None:
    assert open_table({"x": [10, 9, 100, 9]}).codes("x")[1] == ("9", "10", "100")
    assert open_table({"x": ["10", "9", "b"]}).codes("x")[1] == ("10", "9", "b")


def test_missing_marks_are_the_tables_own() -> None:
    table = open_table({"x": ["-1", "2", "?", " NA"]}, missing=["-1"])
    assert table.codes("x")[1] == ("2", "?", "NA")
    assert open_table({"x": ["-1", "2", "?", " NA"]}).codes("x")[0].tolist() == [0, 1, -1, -1]


@settings(max_examples=30)
@given(st.lists(st.integers(0, 39), max_size=60), st.integers(1, 50))
def test_take_is_indexing(rows: list[int], size: int) -> None:
    source = pa.table({"i": np.arange(40), "s": pa.array([f"v{i % 5}" for i in range(40)]).dictionary_encode()})
    pieces = [ds.dataset(source.slice(0, 13)), ds.dataset(source.slice(13))]
    table = Table(pieces, source="two pieces")
    assert table.take(rows).to_arrow().to_pydict() == source.take(pa.array(rows, pa.int64())).to_pydict()
    assert pa.Table.from_batches(table.batches(size=size)).column("i").to_pylist() == list(range(40))
    assert all(batch.num_rows <= size for batch in table.batches(size=size))


def test_slice_head_and_sample(people: pa.Table) -> None:
    table = open_table(people)
    assert table.slice(35).num_rows == 5 and table.slice(-3, -1).to_arrow().equals(people.slice(37, 2))
    assert table.head(2).to_arrow().equals(people.slice(0, 2))
    once, twice, other = (table.sample(10, seed=s).to_arrow() for s in (1, 1, 2))
    assert once.equals(twice) and not once.equals(other)
    assert table.sample(1000, seed=0).num_rows == 40
    assert table.take([]).num_rows == 0 and table.take([]).names == table.names


def test_parts_of_different_types_are_one_table() -> None:
    train = open_table({"x": [1, 2], "s": pa.array(["a", "b"]).dictionary_encode()})
    test = open_table({"x": [2.5], "s": ["c"], "extra": [0]})
    both = concat({"train": train, "test": test})
    assert both.parts == {"train": range(2), "test": range(2, 3)}
    assert both.numbers(["x"])[:, 0].tolist() == [1, 2, 2.5]
    assert both.codes("s")[1] == ("a", "b", "c")
    assert both.take([2, 0]).to_arrow().to_pydict() == {"x": [2.5, 1.0], "s": ["c", "a"]}
    with pytest.raises(DataError, match="lacks the column 'extra'"):
        concat({"train": test, "test": train})


def test_test_rows_travel_with_the_table() -> None:
    table = open_table({"x": [1, 2]}, test={"x": [3]})
    assert table.num_rows == 2 and table.test is not None and table.test.num_rows == 1
    joined = table.joined()
    assert joined.numbers(["x"])[:, 0].tolist() == [1, 2, 3] and joined.joined() is joined


def test_errors_name_column_row_and_way_out(people: pa.Table) -> None:
    table = open_table(people)
    with pytest.raises(DataError, match=r"no column 'colur'. Did you mean 'colour'"):
        table.codes("colur")
    with pytest.raises(DataError, match="column 'colour', row 1: expected a number, found 'green'"):
        table.numbers(["colour"])
    with pytest.raises(DataError, match=r"rows must lie in 0\.\.39, got 40\.\.40"):
        table.take([40])
    with pytest.raises(DataError, match="several columns are called 'a'"):
        open_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))
    with pytest.raises(DataError, match="no columns"):
        open_table({})
    with pytest.raises(DataError, match="column 'l' holds list<"):
        open_table({"l": pa.array([[1], [2]])}).codes("l")


def test_a_page_that_was_flipped_on_disk_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    values = np.random.default_rng(0).random(5000)
    pq.write_table(pa.table({"x": values}), path, write_page_checksum=True, compression="none")
    raw = bytearray(path.read_bytes())
    raw[3000] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match=r"t\.parquet cannot be read"):
        open_table(path).numbers(["x"])


def test_reading_in_batches_does_not_depend_on_the_first_batch(tmp_path: Path) -> None:
    # Two row groups with dictionaries of their own.
    path = tmp_path / "t.parquet"
    values = [f"a{i % 3}" for i in range(100)] + [f"b{i % 4}" for i in range(100)]
    pq.write_table(pa.table({"s": values}), path, row_group_size=100)
    codes, categories = open_table(path).codes("s")
    assert [categories[c] for c in codes] == values
