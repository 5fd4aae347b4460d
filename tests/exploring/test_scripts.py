"""The modules' arithmetic, run where it will run, against the same rules written down a second time."""

from __future__ import annotations

import json

import numpy as np
import pytest

from accord.exploring import bundle

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def module(browser):
    page = browser.new_page()

    def call(name: str, function: str, *arguments):
        text = ", ".join(json.dumps(a) for a in arguments)
        return page.evaluate(f"(() => {{ {bundle.script(name)}; return module_{name}.{function}({text}); }})()")

    yield call
    page.close()


def made(rng, points=12, missing=0.1):
    """Axes of three tasks, a metric and a loss each, and points with intervals, some numbers missing."""
    axes = [
        {"task": task, "primary": kind == 0, "higher": kind == 0 and task != 1, "places": 2}
        for task in range(3)
        for kind in range(2)
    ]
    columns = []
    for _ in range(points):
        value = [None if rng.random() < missing else round(float(v), 1) for v in rng.normal(size=6)]
        half = rng.uniform(0.1, 0.5)
        columns.append(
            {
                "value": value,
                "low": [None if v is None else v - half for v in value],
                "high": [None if v is None else v + half for v in value],
            }
        )
    return axes, columns


def missed(axis, column, i, bound, cautious):
    """The shortfall, written down again."""
    if bound is None:
        return 0.0
    value = column["value"][i]
    if value is None:
        return np.inf
    if cautious:
        value = column["low" if axis["higher"] else "high"][i]
    return max((bound - value) if axis["higher"] else (value - bound), 0.0)


@pytest.mark.parametrize("seed", range(12))
def test_best_keeps_the_limits_and_gets_most_of_the_rest(module, seed):
    rng = np.random.default_rng(seed)
    axes, points = made(rng)
    bounds = [None if rng.random() < 0.6 else round(float(rng.normal(0, 0.7)), 1) for _ in axes]
    cautious = bool(seed % 2)
    found = module("limits", "bestPoint", axes, points, bounds, cautious)

    values = np.array([[np.nan if v is None else v for v in p["value"]] for p in points])
    worst = np.array([(np.nanmin if a["higher"] else np.nanmax)(values[:, i]) for i, a in enumerate(axes)])
    span = np.nanmax(values, 0) - np.nanmin(values, 0)
    limited = {a["task"] for a, b in zip(axes, bounds, strict=True) if b is not None}
    counted = [i for i, a in enumerate(axes) if a["primary"] and a["task"] not in limited]
    counted = counted or [i for i, a in enumerate(axes) if a["primary"]]
    gains = np.nan_to_num(np.abs(values - worst) / span)[:, counted].sum(1)
    misses = np.array([sum(missed(a, p, i, bounds[i], cautious) / span[i] for i, a in enumerate(axes)) for p in points])
    assert found["kept"] == bool((misses == 0).any())
    assert misses[found["index"]] == pytest.approx(misses.min())
    rivals = gains[misses == misses.min()]
    assert gains[found["index"]] == pytest.approx(rivals.max())


def test_a_limit_is_kept_at_its_very_value(module):
    axis = {"higher": True}
    column = {"value": [0.8], "low": [0.7], "high": [0.9]}
    assert module("limits", "shortfall", axis, column, 0, 0.8, False) == 0
    assert module("limits", "shortfall", axis, column, 0, 0.8, True) == pytest.approx(0.1)
    assert module("limits", "shortfall", {"higher": False}, column, 0, 0.8, True) == pytest.approx(0.1)
    assert module("limits", "shortfall", axis, {"value": [0.8], "low": [None], "high": [None]}, 0, 0.8, True) == 0


def test_a_share_takes_and_the_others_give_in_proportion(module):
    assert module("simplex", "moved", [0.2, 0.2, 0.6], 0, 0.6) == pytest.approx([0.6, 0.1, 0.3])
    assert module("simplex", "moved", [1, 0, 0], 0, 0.4) == pytest.approx([0.4, 0.3, 0.3])
    assert module("simplex", "moved", [0.5, 0.5], 1, 1) == pytest.approx([0, 1])


@pytest.mark.parametrize("seed", range(6))
def test_the_triangle_goes_there_and_back_and_stays_inside(module, seed):
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(3))
    x, y = module("simplex", "toTriangle", shares.tolist())
    assert module("simplex", "fromTriangle", x, y) == pytest.approx(shares.tolist())
    outside = module("simplex", "fromTriangle", *(rng.normal(size=2) * 5).tolist())
    assert min(outside) >= 0 and sum(outside) == pytest.approx(1)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_beyond_a_corner_lies_the_corner(module, kept):
    x, y = module("simplex", "toTriangle", [float(i == kept) for i in range(3)])
    away = 1.5
    middle = (0.5, np.sqrt(3) / 6)
    far = [middle[0] + (x - middle[0]) * away, middle[1] + (y - middle[1]) * away]
    assert module("simplex", "fromTriangle", *far) == pytest.approx([float(i == kept) for i in range(3)])


@pytest.mark.parametrize(
    ("value", "places", "text"),
    [
        (0.94934, 3, "0.949"),
        (-0.0004, 3, "0.000"),
        (-1.25, 1, "\u22121.3"),
        (12345.6, 0, "12,346"),
        (None, 2, "\u2013"),
        (0, 0, "0"),
    ],
)
def test_numbers_read_well(module, value, places, text):
    assert module("numbers", "fixed", value, places) == text


@pytest.mark.parametrize(
    ("low", "high"), [(0.1, 0.9), (-3.0, 12.0), (0.912, 0.9151), (1e5, 4e5), (-1e-7, 1e-7), (93.0, 93.0001)]
)
def test_ticks_are_round_and_inside(module, low, high):
    found = module("scale", "ticks", low, high, 6)
    values = np.array(found["values"])
    steps = np.diff(values)
    assert 2 <= len(values) <= 14
    assert values.min() >= low - 1e-9 * abs(low) and values.max() <= high + 1e-9 * abs(high)
    lead = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-9)
    assert min(abs(lead - round_) for round_ in (1, 2, 5, 10)) < 1e-6
    assert np.allclose(np.round(values, found["places"]), values, rtol=0, atol=steps[0] / 100)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (12_536, "13 kB"), (1_200_000, "1.2 MB"), (3e9, "3.0 GB")]
)
def test_sizes_read_well(module, count, text):
    assert module("numbers", "bytes", count) == text
