import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from accord.reporting.svg.downsample import envelope, windows
from accord.reporting.svg.heat import level
from accord.reporting.svg.path import path
from accord.reporting.svg.scale import DRAWABLE, Scale, domain, drawable, labels, ticks
from accord.reporting.svg.text import shorten, spread, width

sane = st.floats(-DRAWABLE, DRAWABLE)


def test_scale_maps_ends_and_holds_what_is_outside():
    scale = Scale(10.0, 20.0, 100.0, 0.0)
    np.testing.assert_allclose(scale(np.array([10, 15, 20, 25, 0])), [100, 50, 0, 0, 100])
    assert scale.at(12.5) == 75.0


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [(0, 1, 4, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (-3, 7, 2, [0, 5]), (0.93, 0.96, 3, [0.93, 0.94, 0.95, 0.96])],
)
def test_ticks_by_hand(low, high, count, expected):
    assert ticks(low, high, count) == pytest.approx(expected)


def test_whole_ticks_never_have_fractions():
    assert ticks(1, 3, 8, whole=True) == [1, 2, 3]


@given(sane, sane, st.integers(1, 8))
def test_ticks_lie_inside_on_an_even_round_grid(low, high, count):
    if not high > low:
        assert ticks(low, high, count) == []
        return
    found = ticks(low, high, count)
    assert len(found) <= 3 * count + 1
    slack = (high - low) * 1e-6
    assert all(low - slack <= t <= high + slack for t in found)
    if len(found) > 1 and abs(high - low) > 1e-6 * max(abs(low), abs(high)):
        steps = np.diff(found)
        assert np.allclose(steps, steps[0], rtol=1e-4)
        mantissa = steps.mean() / 10.0 ** math.floor(math.log10(steps.mean()) + 1e-9)
        assert min(abs(mantissa - m) for m in (1, 2, 5)) < 1e-3


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([0.0, 0.5, 1.0], ["0", "0.5", "1.0"]),
        ([-0.02, 0.0, 0.02], ["\u22120.02", "0", "0.02"]),
        ([500.0, 1000.0, 1500.0], ["500", "1,000", "1,500"]),
        ([0.0, 5000.0, 10_000.0], ["0", "5k", "10k"]),
        ([1_500_000.0], ["1.5M"]),
        ([1000.0], ["1,000"]),
        ([], []),
    ],
)
def test_tick_labels(values, texts):
    assert labels(values) == texts


@example(9999.0, 1.0, 2)
@given(st.floats(-1e4, 1e4), st.floats(1e-3, 1e4), st.integers(2, 6))
def test_tick_labels_differ(low, span, count):
    found = labels(ticks(low, low + span, count))
    assert len(set(found)) == len(found)


def test_a_spike_does_not_flatten_the_rest():
    values = np.r_[1000.0, np.linspace(0, 1, 200)]
    low, high, beyond = domain(values)
    assert beyond == 1 and -0.2 < low < 0 and 1 < high < 2


@given(hnp.arrays(np.float64, st.integers(0, 60), elements=sane))
def test_domain_is_a_range_and_counts_what_it_leaves_out(values):
    low, high, beyond = domain(values)
    assert math.isfinite(low) and math.isfinite(high) and low < high
    assert beyond == int(((values < low) | (values > high)).sum())
    assert beyond <= 0.05 * len(values) + 1


def test_drawable():
    assert drawable(np.array([0.0, np.nan, np.inf, 1e31, -1e29])).tolist() == [True, False, False, False, True]


@given(st.lists(st.tuples(st.integers(0, 1000), st.floats(-1e6, 1e6)), min_size=1, max_size=400), st.integers(1, 30))
def test_envelope_keeps_extremes_ends_and_order(points, buckets):
    points.sort(key=lambda p: p[0])
    xs, ys = np.array([p[0] for p in points]), np.array([p[1] for p in points])
    kx, ky = envelope(xs, ys, buckets)
    assert set(zip(kx, ky, strict=True)) <= set(zip(xs, ys, strict=True))
    assert (np.diff(kx) >= 0).all()
    assert (kx[0], ky[0]) == (xs[0], ys[0]) and (kx[-1], ky[-1]) == (xs[-1], ys[-1])
    assert ky.min() == ys.min() and ky.max() == ys.max()
    if xs[-1] > xs[0]:
        assert len(kx) <= 2 * buckets + 2


def test_envelope_keeps_the_extremes_of_each_stretch():
    xs = np.arange(1000)
    ys = np.zeros(1000)
    ys[137], ys[138] = 5.0, -5.0
    kx, _ = envelope(xs, ys, 10)
    assert {137, 138} <= set(kx.tolist())


def test_windows_by_hand():
    xs, ys = np.array([0, 1, 2, 3, 4]), np.array([1.0, 3.0, np.nan, 5.0, 7.0])
    np.testing.assert_allclose(windows(xs, ys, np.array([0.0, 2.0, 3.0, 4.0])), [2.0, np.nan, 6.0])


@given(st.lists(st.floats(0, 300), min_size=1, max_size=12), st.floats(1, 20))
def test_spread_labels_do_not_touch_and_move_no_further_than_needed(places, gap):
    low, high = 0.0, max(300.0, gap * len(places))
    found = spread(places, gap, low, high)
    order = sorted(found)
    assert all(b - a >= gap - 1e-6 for a, b in pairwise(order))
    assert order[0] >= low - 1e-6 and order[-1] <= high + 1e-6
    for i, a in enumerate(places):
        for j, b in enumerate(places):
            assert not (a < b and found[i] > found[j])
    if all(b - a >= gap for a, b in pairwise(sorted(places))):
        assert found == pytest.approx(places)


@given(st.text(max_size=60), st.floats(10, 200))
def test_shortened_text_fits_or_was_short(text, room):
    cut = shorten(text, room)
    assert cut == text or (cut.endswith("…") and width(cut) <= max(room, width("…")) and len(cut) <= len(text))


def test_path_is_relative_and_ends_where_the_points_end():
    assert path(np.array([0, 1.04, 3]), np.array([10, 9, 9.56])) == "M0 10l1 -1 2 0.6"
    assert path(np.array([2.0]), np.array([3.0])) == "M2 3"


@pytest.mark.parametrize(
    ("value", "name"), [(-1.0, "q-10"), (0.0, "q0"), (-0.04, "q0"), (0.36, "q4"), (1.7, "q10"), (math.nan, "q-none")]
)
def test_levels(value, name):
    assert level(value) == name
