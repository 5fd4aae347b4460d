"""Arcee Fusion by hand and against arrays, and the order statistics under it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.merging.made import siblings

from accord.errors import ConfigurationError
from accord.merging import ArceeFusion
from accord.merging.block import Block, Buffers
from accord.merging.quantiles import Quantiles


def oracle(base, model):
    """The mask of what is taken over, by rows in float64."""
    rows = [array.reshape(-1, array.shape[-1] if array.ndim else 1) for array in (base, model)]
    old, new = (np.exp(array - array.max(1, keepdims=True)) for array in rows)
    old, new = (array / array.sum(1, keepdims=True) + 1e-8 for array in (old, new))
    change = np.abs(rows[1] - rows[0]) * (new * np.log(new / old)).sum(1, keepdims=True).clip(0)
    scores = np.sort(change.ravel())
    low, middle, high = (scores[int(q * (scores.size - 1))] for q in (0.25, 0.5, 0.75))
    return change, middle + 1.5 * (high - low)


def test_by_hand():
    base = {"w": torch.zeros(3, 2)}
    # Rows that move alike in all entries keep their softmax: their divergence, and with it the importance, is 0.
    model = {"w": torch.tensor([[1.0, 1.0], [2.0, 2.0], [0.0, 3.0]])}
    merged = ArceeFusion()(base, [model])["w"]
    # Sorted importances: 0, 0, 0, 0, 0, x. Quartiles and median are 0, and so is the bound, which all reach.
    assert torch.equal(merged, model["w"])
    model = {"w": torch.tensor([[1.0, -1.0], [2.0, -2.0], [-0.5, 3.0]])}
    change, bound = oracle(base["w"].numpy(), model["w"].double().numpy())
    assert 0 < (change >= bound).sum() < 6
    expected = np.where(change >= bound, model["w"].numpy(), 0.0)
    assert ArceeFusion()(base, [model])["w"].tolist() == expected.tolist()


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    shape=st.sampled_from([(), (7,), (5, 9), (1, 4), (3, 2, 5)]),
    size=st.sampled_from([1e-3, 0.1, 2.0]),
)
def test_against_arrays(seed, shape, size):
    base, (model,) = siblings(seed, 1, torch.float64, (shape,), size)
    merged = ArceeFusion()(base, [model])["t0"].numpy()
    old, new = base["t0"].numpy(), model["t0"].numpy()
    change, bound = oracle(old, new)
    sure = np.abs(change - bound).reshape(old.shape) > 1e-5 * abs(bound) + 1e-18
    taken = (change >= bound).reshape(old.shape)
    np.testing.assert_array_equal(merged[sure], np.where(taken, new, old)[sure])
    assert np.isin(merged, [*old.ravel(), *new.ravel()]).all()


def test_a_model_that_changed_little_is_told_from_rounding():
    # In bfloat16, as mergekit computes it, these divergences of some 1e-7 are noise.
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(8, 64, generator=generator).bfloat16()
    model = base.clone()
    model[3] += 0.05 * torch.randn(64, generator=generator)
    merged = ArceeFusion()({"w": base}, [{"w": model}])["w"]
    assert torch.equal(merged, model)  # all other importances are 0, and so are the quartiles


def test_rows_with_infinities_stay_as_in_the_base():
    base = {"w": torch.tensor([[0.0, 0.0], [float("inf"), 1.0], [1.0, 2.0]])}
    model = {"w": torch.tensor([[0.5, -1.0], [float("inf"), 1.5], [1.5, 0.0]])}
    merged = ArceeFusion()(base, [model])["w"]
    assert merged[1, 0] == float("inf") and torch.isfinite(merged[[0, 2]]).all()


def test_it_takes_one_model():
    base, models = siblings(0, 2)
    with pytest.raises(ConfigurationError, match="exactly 1"):
        ArceeFusion()(base, models)


@settings(max_examples=30, deadline=None)
@given(
    numbers=st.lists(st.floats(0, width=32, allow_infinity=True), min_size=1, max_size=40),
    share=st.floats(0, 1),
    cut=st.integers(1, 40),
)
@example([0.0, float("inf"), 3.4028234663852886e38], 0.5, 1)
def test_order_statistics_are_those_of_a_sort(numbers, share, cut):
    rank = int(share * (len(numbers) - 1))
    values = torch.tensor(numbers)
    survey = Quantiles(lambda count: [rank, 0, count - 1], lambda block: [block.model(0)])
    while not survey.finished:
        parts = []
        for piece in values.split(cut):
            part = survey.part()
            part.look(Block("w", 0, len(piece), None, (piece,), torch.float32, Buffers(), (len(piece),)))
            parts.append(part)
        survey.take(parts)
    ordered = np.sort(values.numpy())
    assert survey.found == [[ordered[rank], ordered[0], ordered[-1]]]
