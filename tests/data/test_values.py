from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from accord.data.values import BadCell, codes, label, number, numbers, texts


def test_numbers_of_every_type_that_holds_them() -> None:
    nan = np.nan
    cases = [
        (pa.array([1, None, 3], pa.int8()), [1, nan, 3]),
        (pa.array([0.5, float("nan"), None]), [0.5, nan, nan]),
        (pa.array([True, None, False]), [1, nan, 0]),
        (pa.array([Decimal("1.25"), None]), [1.25, nan]),
        (pa.array([" 12", "1e3", "?", "1,234.5", None, "NA"]), [12, 1000, nan, 1234.5, nan, nan]),
        (pa.array(["7", None, "7", "8"]).dictionary_encode(), [7, nan, 7, 8]),
        (pa.array([3, 5, 3]).dictionary_encode(), [3, 5, 3]),
        (pa.array([dt.date(1970, 1, 2), None]), [86_400, nan]),
        (pa.array([dt.datetime(1970, 1, 1, 0, 1)], pa.timestamp("ns")), [60]),
        (pa.array([dt.timedelta(minutes=2)]), [120]),
        (pa.array([dt.time(0, 2)], pa.time32("s")), [120]),
        (pa.nulls(2), [nan, nan]),
    ]
    for array, expected in cases:
        np.testing.assert_array_equal(numbers(array), expected)


def test_a_text_that_is_no_number_is_pointed_at() -> None:
    with pytest.raises(BadCell) as caught:
        numbers(pa.array(["1", "?", "about 12", "x"]))
    assert (caught.value.position, caught.value.value) == (2, "about 12")


def test_codes_name_the_same_category_alike_whatever_it_is_stored_as() -> None:
    for array in (pa.array([12, 7, 12]), pa.array([12.0, 7.0, 12.0]), pa.array([" 12", "7 ", "12"])):
        index, labels = codes(array)
        assert [labels[i] for i in index] == ["12", "7", "12"]


def test_codes_leave_out_what_a_slice_no_longer_holds() -> None:
    whole = pa.array(["a", "b", "c", "?"]).dictionary_encode()
    index, labels = codes(whole.slice(1, 3))
    assert labels == ["b", "c"] and index.tolist() == [0, 1, -1]


def test_nanoseconds_become_labels_without_pandas() -> None:
    index, labels = codes(pa.array([1, 1_000_000_001], pa.timestamp("ns")))
    assert index.tolist() == [0, 1] and labels[1].startswith("1970-01-01 00:00:01")


def test_labels() -> None:
    assert label(True) == "true" and label(3.0) == "3" and label(0.1) == "0.1" and label(b" x ") == "x"
    assert label(None) is None and label(float("nan")) is None and label(1e300) == "1e+300"


@given(st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "?", "", " a", "é", "NA"])), max_size=30))
def test_codes_agree_with_a_plain_loop(cells: list[str | None]) -> None:
    cleaned = [None if c is None or c.strip() in ("?", "", "NA") else c.strip() for c in cells]
    for array in (pa.array(cells, pa.string()), pa.array(cells, pa.string()).dictionary_encode()):
        index, labels = codes(array)
        assert [labels[i] if i >= 0 else None for i in index] == cleaned
        assert texts(array) == [c or "" for c in cleaned]


@given(st.lists(st.one_of(st.none(), st.floats(allow_nan=False, width=64)), min_size=1, max_size=20))
def test_numbers_survive_text(cells: list[float | None]) -> None:
    direct = numbers(pa.array(cells, pa.float64()))
    np.testing.assert_array_equal(numbers(pa.array([None if c is None else repr(c) for c in cells])), direct)


def test_number_reads_what_people_write_and_nothing_else() -> None:
    assert number("1,234,567") == 1_234_567 and number("-0.5") == -0.5 and number("+3") == 3
    assert number("1_000") is None and number("12,34") is None and number("1.2.3") is None and number("") is None
