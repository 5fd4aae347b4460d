"""Breadcrumbs by hand and against a sort of everything."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.made import array, close, one, siblings

import accord.merging.selection as selection
from accord.errors import ConfigurationError
from accord.merging import Breadcrumbs, TaskArithmetic

BASE = one(1.0, 1.0, 1.0, 1.0, 1.0)
# task vectors (5, 4, 3, 2, 1), (1, -2, 3, -4, 5) and (0, 0, 1, -1, 9)
THREE = [one(6.0, 5.0, 4.0, 3.0, 2.0), one(2.0, -1.0, 4.0, -3.0, 6.0), one(1.0, 1.0, 2.0, 0.0, 10.0)]


def test_by_hand():
    # One outlier of five is dropped and two are kept: (0, 4, 3, 0, 0), (0, 0, 3, -4, 0), (0, 0, 1, -1, 0)
    merged = Breadcrumbs(0.4, 0.2, scale=0.5)(BASE, THREE)["w"]
    assert merged.tolist() == [1.0, 3.0, 4.5, -1.5, 1.0]
    merged = Breadcrumbs(0.4, 0.2, merge="ties", scale=1.0)(BASE, THREE)["w"]
    assert merged.tolist() == pytest.approx([1.0, 5.0, 1.0 + 7.0 / 3.0, -1.5, 1.0])


def test_rows_tensors_and_the_model_rank_by_themselves():
    base = {"a": torch.zeros(2, 2), "b": torch.zeros(2, 2)}
    model = {"a": torch.tensor([[8.0, 7.0], [6.0, 5.0]]), "b": torch.tensor([[4.0, 3.0], [2.0, 1.0]])}
    kept = {trim: Breadcrumbs(0.5, 0.0, trim, scale=1.0)(base, [model]) for trim in ("row", "tensor", "model")}
    assert kept["row"]["a"].tolist() == [[8.0, 0.0], [6.0, 0.0]] and kept["row"]["b"].tolist() == [
        [4.0, 0.0],
        [2.0, 0.0],
    ]
    assert kept["tensor"]["a"].tolist() == [[8.0, 7.0], [0.0, 0.0]]
    assert kept["tensor"]["b"].tolist() == [[4.0, 3.0], [0.0, 0.0]]
    assert torch.equal(kept["model"]["a"], model["a"]) and not kept["model"]["b"].any()


def test_nothing_dropped_is_task_arithmetic():
    base, models = siblings(0, 3)
    mine, theirs = Breadcrumbs(1.0, 0.0, scale=0.3)(base, models), TaskArithmetic(0.3)(base, models)
    assert all(torch.allclose(mine[name], theirs[name]) for name in base)
    (alone,) = models[:1]
    back = Breadcrumbs(1.0, 0.0, scale=1.0)(base, [alone])
    assert all(torch.equal(back[name], alone[name]) for name in base)


def test_an_infinite_entry_is_an_outlier():
    merged = Breadcrumbs(0.5, 0.25, scale=1.0)(one(0.0, 0.0, 0.0, 0.0), [one(1.0, float("inf"), 3.0, 2.0)])["w"]
    assert merged.tolist() == [0.0, 0.0, 3.0, 2.0]


def oracle(base, model, density, gamma, axis):
    delta = model - base if axis is not None else (model - base).reshape(1, -1)
    kept = np.zeros_like(delta)
    for row, out in zip(delta, kept, strict=True):
        count = len(row)
        outliers, wanted = int(gamma * count + 1e-9), max(1, int(density * count + 1e-9))
        order = np.argsort(-np.abs(row), kind="stable")[outliers : outliers + wanted]
        out[order] = row[order]
    return kept.reshape(model.shape)


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
    rows=st.integers(1, 6),
    columns=st.integers(1, 40),
    density=st.sampled_from([0.05, 0.3, 0.8, 1.0]),
    gamma=st.sampled_from([0.0, 0.1, 0.25, 0.45]),
    trim=st.sampled_from(["row", "tensor"]),
    sampled=st.booleans(),
)
def test_against_a_sort(seed, dtype, rows, columns, density, gamma, trim, sampled):
    base, models = siblings(seed, 2, torch.float64, ((rows, columns),))
    states = [{"t0": state["t0"].to(dtype)} for state in (base, *models)]
    deltas = [(array(state["t0"]) - array(states[0]["t0"])) for state in states[1:]]
    if any(len(np.unique(np.abs(delta))) < delta.size for delta in deltas):
        return  # equal magnitudes are all kept, and a sort keeps some
    numbers = [array(state["t0"]) for state in states]
    expected = numbers[0] + 0.5 * sum(
        oracle(numbers[0], model, density, gamma, 1 if trim == "row" else None) for model in numbers[1:]
    )
    before, selection.SAMPLE = selection.SAMPLE, (16, 64) if sampled else selection.SAMPLE
    try:
        merged = Breadcrumbs(density, gamma, trim, scale=0.5)(states[0], states[1:])["t0"]
    finally:
        selection.SAMPLE = before
    close(merged, expected, dtype)


@pytest.mark.parametrize("options", [{"density": 0.0}, {"gamma": 0.5}, {"trim": "layer"}, {"merge": "mean"}])
def test_wrong_options_are_explained(options):
    with pytest.raises(ConfigurationError, match=next(iter(options)) + " is"):
        Breadcrumbs(**options)


def test_one_density_and_one_gamma_for_each_model():
    options = [(0.4, 0.2), (0.2, 0.0), (1.0, 0.0)]
    densities, gammas = (list(values) for values in zip(*options, strict=True))
    for trim in ("tensor", "row", "model"):
        merged = Breadcrumbs(densities, gammas, trim, scale=1.0)(BASE, THREE)["w"]
        # (0, 4, 3, 0, 0), (0, 0, 0, 0, 5) and (0, 0, 1, -1, 9)
        assert merged.tolist() == [1.0, 5.0, 5.0, 0.0, 15.0]
