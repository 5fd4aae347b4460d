import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from accord.reporting.numbers import (
    decimals,
    duration,
    finite,
    fixed,
    general,
    mean_interval,
    percent,
    plural,
    short,
)

anything = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    ("uncertainty", "places"), [(0.0023, 4), (0.19, 2), (1.4, 1), (14.0, 0), (5200.0, 0), (1e-9, 6), (0.0, 3)]
)
def test_two_digits_of_the_uncertainty_are_shown(uncertainty, places):
    assert decimals(uncertainty) == places


@pytest.mark.parametrize(
    ("value", "places", "sign", "text"),
    [
        (0.4049, 2, True, "+0.40"),
        (-0.4049, 2, False, "\u22120.40"),
        (-0.001, 2, True, "0.00"),
        (0.001, 2, True, "0.00"),
        (1234567.8, 1, False, "1,234,567.8"),
        (math.nan, 2, False, "\u2013"),
        (math.inf, 2, True, "\u2013"),
        (2.5e12, 0, False, "2.50e+12"),
    ],
)
def test_fixed(value, places, sign, text):
    assert fixed(value, places, sign=sign) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.12345, "0.123"), (123.45, "123"), (12345.6, "12,346"), (1.5e-7, "1.50e\u221207")]
)
def test_general(value, text):
    assert general(value) == text


def test_short_durations_percents_and_plurals():
    assert [short(v) for v in (950.0, 12_500.0, 3_140_000.0)] == ["950", "12.5k", "3.14M"]
    assert [duration(s) for s in (0.5, 59.96, 245.0, 7800.0)] == ["0.500 s", "1 min 00 s", "4 min 05 s", "2 h 10 min"]
    assert [percent(s) for s in (0.0, 0.001, 0.6, 0.999, 1.0)] == [
        f"{t}\u00a0%" for t in ("0", "< 1", "60", "> 99", "100")
    ]
    assert plural(1, "task") == "1 task" and plural(1200, "row") == "1,200 rows"


@pytest.mark.parametrize("value", [None, "0.5", [], True, math.nan, math.inf, 10**400])
def test_what_is_no_number_is_nan(value):
    assert math.isnan(finite(value))


def test_interval_over_seeds_by_hand():
    # t(0.975, 2 degrees) = 4.3027; standard deviation of 1, 2, 3 is 1.
    mean, half = mean_interval([1.0, None, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert mean_interval([1.0, 3.0, None]) == (2.0, 1.0)
    assert math.isnan(mean_interval([1.0])[1]) and math.isnan(mean_interval([])[0])


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=9))
def test_interval_is_that_of_scipy(values):
    low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values) or 1e-300)
    mean, half = mean_interval(values)
    assert mean == pytest.approx((low + high) / 2, abs=1e-9)
    assert half == pytest.approx((high - low) / 2, rel=1e-6, abs=1e-9)


@given(anything, st.integers(0, 6))
def test_every_number_has_a_text_without_hyphens(value, places):
    for text in (
        fixed(value, places),
        fixed(value, places, sign=True),
        general(value),
        short(value),
        duration(abs(value)),
    ):
        assert text and "-" not in text and "nan" not in text and "inf" not in text


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_fixed_reads_back(value, places):
    text = fixed(value, places, sign=True).replace("\u2212", "-").replace(",", "")
    assert float(text) == pytest.approx(value, abs=0.5000001 * 10**-places)
