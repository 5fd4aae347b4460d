"""PCB by hand and against arrays."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging import dense
from tests.merging.made import close, one, siblings

import accord.merging.selection as selection
from accord.errors import ConfigurationError
from accord.merging import PCB


def oracle(base, models, density, scale):
    deltas = np.stack([model - base for model in models])
    count, size = deltas.shape
    sizes = np.sort(np.abs(deltas), axis=1)[:, size - 1 - int(1e-4 * size)][:, None]
    within = np.minimum(np.abs(deltas) / np.where(sizes > 0, sizes, 1.0), 1.0)
    scores = np.exp(count * within**2) * np.tanh(deltas * deltas.sum(0))
    kept = max(1, int(density * size + 1e-9))
    merged, total = np.zeros(size), np.zeros(size)
    for delta, score, most in zip(deltas, scores, sizes, strict=True):
        ordered = np.sort(np.maximum(score, 0.0))
        least, largest = ordered[size - kept] if kept < size else 0.0, ordered[-1]
        weight = (score - least) / (largest - least) if largest > least else np.ones(size)
        weight = np.where((score > 0) & (score >= least), weight, 0.0)
        merged += weight * np.clip(delta, -most, most)
        total += weight
    return base + scale * merged / np.maximum(total, 1e-12)


def test_by_hand():
    base = one(0.0, 0.0, 0.0, 0.0, dtype=torch.float64)
    rows = [[2.0, 1.0, -1.0, 0.0], [2.0, -2.0, 0.0, 1.0], [1.0, 0.5, 0.0, 4.0]]
    models = [one(*row, dtype=torch.float64) for row in rows]
    # sums 5, -.5, -1, 5. Scores of the first: e^3 tanh 10, < 0, e^.75 tanh 1, 0: two are kept, the second with 0.
    # Of the second: e^3 tanh 10, e^3 tanh 1, 0, e^.75 tanh 5: the second with 0. Of the third: e^(3/16) tanh 5,
    # < 0, 0, e^3 tanh 20: the first with 0. So every entry has one task, but the first two with weight 1 each.
    merged = PCB(0.5, 1.0)(base, models)["w"]
    assert merged.tolist() == pytest.approx([2.0, 0.0, 0.0, 4.0])
    # With three kept, the least scores are 0 and out, e^.75 tanh 5, and 0 and out.
    most, least = math.exp(3) * math.tanh(10), math.exp(0.75) * math.tanh(5)
    second = (math.exp(3) * math.tanh(1) - least) / (most - least)
    assert second > 0
    third = math.exp(3 / 16) * math.tanh(5) / (math.exp(3) * math.tanh(20))
    first = [1.0, 1.0, third]
    expected = [sum(w * r[0] for w, r in zip(first, rows, strict=True)) / sum(first), -2.0, -1.0, 4.0]
    assert PCB(0.75, 1.0)(base, models)["w"].tolist() == pytest.approx(expected)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(1, 4),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    density=st.sampled_from([0.05, 0.4, 1.0]),
    size=st.sampled_from([0.05, 1.0, 30.0]),
    zeros=st.booleans(),
    sampled=st.booleans(),
)
def test_against_arrays(seed, models, dtype, density, size, zeros, sampled):
    base, moved = siblings(seed, models, dtype, ((40, 6), (13,)), size)
    if zeros:
        for model in moved:
            model["t0"][:30] = base["t0"][:30]
    origin, points = dense.vector(base), [dense.vector(model) for model in moved]
    before, selection.SAMPLE = selection.SAMPLE, (16, 64) if sampled else selection.SAMPLE
    try:
        merged = PCB(density, 1.2)(base, moved)
    finally:
        selection.SAMPLE = before
    close(torch.from_numpy(dense.vector(merged)), oracle(origin, points, density, 1.2), dtype, slack=64.0)


def test_tensors_compete_by_themselves_if_asked():
    base = {"a": torch.zeros(4), "b": torch.zeros(4)}
    model = {"a": torch.tensor([5.0, 6.0, 7.0, 8.0]), "b": torch.tensor([0.1, 0.2, 0.3, 0.4])}
    whole, each = PCB(0.25, 1.0)(base, [model]), PCB(0.25, 1.0, "tensor")(base, [model])
    assert not whole["b"].any() and whole["a"][3] == 8.0
    assert each["b"].tolist() == pytest.approx([0.0, 0.0, 0.0, 0.4])


def test_an_outlier_does_not_set_the_scale():
    base = {"w": torch.zeros(20_000, dtype=torch.float64)}
    values = torch.rand(20_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 0.5
    values[0] = 1e6
    merged = PCB(0.1, 1.0)(base, [{"w": values}])["w"]
    assert merged.max() < 1.6  # cut down to the third largest, two being 0.01 % of them


def test_wrong_options_are_refused():
    with pytest.raises(ConfigurationError, match="trim is"):
        PCB(trim="row")
