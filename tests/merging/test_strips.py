"""One angle for each row or column: by hand, against loops over plain arrays, and where nothing can go wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.dense import slerp
from tests.merging.made import array, close, siblings

import accord.merging.engine as engine
from accord.errors import ConfigurationError
from accord.merging import SLERP, ModelStock, NuSLERP
from accord.merging.engine import block_length
from accord.merging.entry import Entry
from accord.merging.memory import per_thread

SHAPES = ((7, 5), (11,), (), (0, 3), (3, 2, 4), (1, 6), (6, 1))


def matrix(*rows):
    return {"w": torch.tensor(rows)}


def test_rows_by_hand():
    # Rows at right angles with lengths 1 and 2: halfway each counts by sin 45 degrees. Parallel rows: the chord.
    first, second = matrix([1.0, 0.0], [1.0, 1.0]), matrix([0.0, 2.0], [3.0, 3.0])
    half = math.sqrt(0.5)
    merged = NuSLERP(0.5, by="row")(None, [first, second])["w"]
    assert merged.flatten().tolist() == pytest.approx([half, 2 * half, 2.0, 2.0])


def test_columns_by_hand():
    # Columns (1, 0) and (0, 3), which are at right angles; then (2, 2) and (4, 4), which are parallel. At a third of
    # the arc of 90 degrees the first counts by sin 60 and the second by sin 30.
    first, second = matrix([1.0, 2.0], [0.0, 2.0]), matrix([0.0, 4.0], [3.0, 4.0])
    merged = NuSLERP(1 / 3, by="column")(None, [first, second])["w"]
    expected = [math.sin(math.pi / 3), 2 + 2 / 3, 3 * math.sin(math.pi / 6), 2 + 2 / 3]
    assert merged.flatten().tolist() == pytest.approx(expected)


def test_a_row_of_model_stock_by_hand():
    base = matrix([1.0, 1.0], [5.0, 5.0], [0.0, 0.0])
    # Task vectors (1, 0), (1, 1): the cosine is 1 / sqrt 2. Opposed ones leave the base, parallel ones give the mean.
    first, second = matrix([2.0, 1.0], [6.0, 5.0], [1.0, 2.0]), matrix([2.0, 2.0], [4.0, 5.0], [3.0, 6.0])
    t = 2 * math.sqrt(0.5) / (1 + math.sqrt(0.5))
    merged = ModelStock(by="row")(base, [first, second])["w"]
    assert merged.flatten().tolist() == pytest.approx([1 + t, 1 + t / 2, 5.0, 5.0, 2.0, 4.0])


def stock(*deltas):
    n = len(deltas)
    lengths = [np.linalg.norm(delta) for delta in deltas]
    cosines = [
        deltas[i] @ deltas[j] / (lengths[i] * lengths[j]) if lengths[i] * lengths[j] > 0 else 0.0
        for i in range(n)
        for j in range(i)
    ]
    cosine = max(float(np.mean(cosines)), 0.0)
    return n * cosine / (1 + (n - 1) * cosine) * np.mean(deltas, axis=0)


def strips(combined, deltas, axis):
    """Apply ``combined`` to each run along ``axis`` of arrays, one after the other."""
    deltas = [np.atleast_1d(delta) for delta in deltas]
    moved = [np.moveaxis(delta, axis, -1) for delta in deltas]
    merged = np.zeros_like(moved[0])
    for place in np.ndindex(moved[0].shape[:-1]):
        merged[place] = combined(*(delta[place] for delta in moved))
    return np.moveaxis(merged, -1, axis)


@pytest.mark.parametrize("by", ["row", "column"])
@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    t=st.sampled_from([0.0, 0.3, 0.5, 1.0, 1.25, -0.5]),
    based=st.booleans(),
    length=st.sampled_from([3, 4, 1 << 16]),
)
def test_nuslerp_is_an_arc_for_each_strip(by, seed, dtype, t, based, length):
    base, models = siblings(seed, 2, dtype, SHAPES, size=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "BLOCK", length)  # blocks that end within rows, and within columns
        merged = NuSLERP(t, by)(base if based else None, models)
    for name, tensor in base.items():
        origin = array(tensor) if based else np.zeros(tensor.shape)
        deltas = [array(model[name]) - origin for model in models]
        change = strips(lambda a, b: slerp(a, b, t), deltas, 0 if by == "column" else -1)
        close(merged[name], origin + change.reshape(tensor.shape), dtype, slack=8.0)


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(2, 4),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    equal=st.integers(0, 2),
)
def test_model_stock_by_row(seed, models, dtype, equal):
    base, moved = siblings(seed, models, dtype, SHAPES, size=1.0)
    for model in moved[:equal]:
        model["t0"] = base["t0"]
    merged = ModelStock(by="row")(base, moved)
    for name, tensor in base.items():
        change = strips(stock, [array(model[name]) - array(tensor) for model in moved], -1)
        close(merged[name], array(tensor) + change.reshape(tensor.shape), dtype, slack=8.0)


@pytest.mark.parametrize("by", ["tensor", "row", "column"])
def test_the_ends_are_the_models_and_one_row_is_the_tensor(by):
    base, models = siblings(1, 2, torch.float32, ((12,),), size=1.0)
    for t in (0.0, 1.0):
        assert torch.equal(NuSLERP(t, by)(base, models)["t0"], models[int(t)]["t0"])
    whole = NuSLERP(0.3)(base, models)["t0"]
    assert torch.allclose(NuSLERP(0.3, by)(base, models)["t0"], whole, atol=1e-6)


def test_without_a_base_nuslerp_is_slerp_beyond_its_ends_too():
    _, models = siblings(2, 2, torch.float64, ((6, 5),), size=1.0)
    for t in (-0.5, 0.25, 1.5):
        assert torch.equal(NuSLERP(t)(None, models)["t0"], SLERP(t)(None, models)["t0"])
        expected = slerp(*(array(model["t0"]).ravel() for model in models), t)
        close(SLERP(t)(None, models)["t0"].flatten(), expected, torch.float64)


@pytest.mark.parametrize("method", [NuSLERP(0.4, "row"), NuSLERP(0.4, "column"), ModelStock("row")], ids=repr)
def test_one_strip_that_is_not_finite_leaves_the_others_alone(method):
    base, models = siblings(3, 2, torch.float32, ((4, 4),), size=1.0)
    clean = method(base, models)["t0"]
    for model in (base, *models):
        model["t0"][2, 2] = -math.inf  # a mask, the same in all
    merged = method(base, models)["t0"]
    assert merged[2, 2] == -math.inf
    untouched = [place for place in range(4) if place != 2]
    along = merged[:, untouched] if method.by == "column" else merged[untouched]
    assert torch.equal(along, clean[:, untouched] if method.by == "column" else clean[untouched])


def test_what_columns_hold_is_counted_beforehand():
    def entry(shape, method):
        flat = torch.zeros(math.prod(shape), dtype=torch.float16)
        return Entry(method, "w", shape, torch.float16, torch.float32, flat, (flat, flat))

    wide, tall = ((2, 1 << 20), (1 << 20, 2))
    extra = per_thread([entry(wide, NuSLERP(0.5, "column"))]) - per_thread([entry(tall, NuSLERP(0.5, "column"))])
    assert extra >= ((1 << 20) - 2) * 2 * 2 * 8
    assert block_length(entry((1 << 18, 24), NuSLERP(0.5, "row"))) % 24 == 0


def test_options_that_make_no_sense():
    with pytest.raises(ConfigurationError, match="by is 'tensor' or 'row' or 'column'; got 'rows'"):
        NuSLERP(by="rows")
    with pytest.raises(ConfigurationError, match="by is 'tensor' or 'row'; got 'column'"):
        ModelStock(by="column")
    for method in (SLERP, NuSLERP):
        with pytest.raises(ConfigurationError, match="t is a number"):
            method(math.nan)
