"""Reinforced agent merging: by hand, against loops over plain arrays, and at its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.made import array, close, one

from accord.errors import ConfigurationError
from accord.merging import RAM, NonFiniteMergeWarning, TaskArithmetic

BASE = one(0.0, 0.0, 0.0, 0.0, 10.0)
# Entry 0 is changed by all three, 1 by two, 2 and 3 by one each; what happens to 4 is below the threshold.
THREE = [one(3.0, 1.0, 0.0, 4.0, 10.0), one(-6.0, 3.0, 0.0, 0.0, 10.0 + 1e-6), one(9.0, 0.0, 8.0, 0.0, 10.0)]


def test_shared_changes_are_averaged_and_others_kept():
    merged = RAM()(BASE, THREE)["w"]
    assert merged.tolist() == pytest.approx([2.0, 2.0, 8.0, 4.0, 10.0])
    assert RAM(scale=0.5)(BASE, THREE)["w"].tolist() == pytest.approx([1.0, 1.0, 4.0, 2.0, 10.0])
    # Under a threshold of 3.5 the changes left are 4; -6; 9 and 8.
    assert RAM(threshold=3.5)(BASE, THREE)["w"].tolist() == pytest.approx([1.5, 0.0, 8.0, 4.0, 10.0])


@pytest.mark.parametrize(("limit", "first", "third"), [(10.0, 2.0, 1.0), (1.5, 1.5, 1.0), (0.5, 0.5, 0.5)])
def test_what_is_one_models_own_makes_up_for_what_it_shares(limit, first, third):
    # The first model shares two entries and has one alone, the third one and one.
    merged = RAM(rescale=0.1, limit=limit)(BASE, THREE)["w"]
    assert merged.tolist() == pytest.approx([2.0, 2.0, 8.0 * (1 + 0.1 * third), 4.0 * (1 + 0.1 * first), 10.0])


def test_counts_are_of_the_model_or_of_each_tensor():
    base = {"a": torch.zeros(2), "b": torch.zeros(2)}
    first = {"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([1.0, 1.0])}
    second = {"a": torch.tensor([0.0, 1.0]), "b": torch.tensor([0.0, 1.0])}
    # Of the whole model the first shares one of three, the second one of two; in "a" nobody shares anything.
    whole = RAM(rescale=1.0, limit=9.0)(base, [first, second])
    assert whole["a"].tolist() == pytest.approx([1.5, 2.0]) and whole["b"].tolist() == pytest.approx([1.5, 1.0])
    local = RAM(rescale=1.0, limit=9.0, count="tensor")(base, [first, second])
    # In "b" the second model has nothing alone, and the first shares as many as it has alone.
    assert local["a"].tolist() == pytest.approx([1.0, 1.0]) and local["b"].tolist() == pytest.approx([2.0, 1.0])


def oracle(base, models, threshold, rescale, limit):
    deltas = [model - base for model in models]
    changed = [np.abs(delta) > threshold for delta in deltas]
    users = sum(each.astype(int) for each in changed)
    merged = np.zeros(base.shape)
    for delta, own in zip(deltas, changed, strict=True):
        alone, shared = int((own & (users == 1)).sum()), int((own & (users > 1)).sum())
        ratio = shared / alone if alone else 0.0
        merged += np.where(own & (users == 1), delta * (1 + rescale * min(ratio, limit)), 0.0)
        merged += np.where(own & (users > 1), delta / np.maximum(users, 1), 0.0)
    return base + merged


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    models=st.integers(1, 5),
    sparse=st.sampled_from([0.0, 0.3, 0.8, 1.0]),
    rescale=st.sampled_from([0.0, 0.1, 2.0]),
    limit=st.sampled_from([0.2, 1.0, 50.0]),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16]),
)
def test_against_plain_arrays(seed, models, sparse, rescale, limit, dtype):
    generator = torch.Generator().manual_seed(seed)
    base = {"w": torch.randn(6, 5, generator=generator).to(dtype)}
    moved = []
    for _ in range(models):
        there = torch.rand(6, 5, generator=generator) >= sparse
        moved.append({"w": (base["w"].float() + there * torch.randn(6, 5, generator=generator)).to(dtype)})
    threshold = 0.05
    merged = RAM(threshold, rescale, limit)(base, moved)["w"]
    expected = oracle(array(base["w"]), [array(model["w"]) for model in moved], threshold, rescale, limit)
    close(merged, expected, dtype, slack=8.0)


def test_changes_that_nobody_shares_add_up():
    base = {"w": torch.zeros(6)}
    moved = [{"w": torch.zeros(6).index_fill(0, torch.tensor([place]), 1.0)} for place in (0, 2, 5)]
    for method in (RAM(), RAM(rescale=1.0), RAM(rescale=1.0, count="tensor")):
        assert torch.equal(method(base, moved)["w"], TaskArithmetic(1.0)(base, moved)["w"])
    alone = {"w": torch.randn(6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)}
    assert torch.equal(RAM(threshold=0.0, rescale=1.0)({"w": torch.zeros(6).double()}, [alone])["w"], alone["w"])


def test_numbers_that_are_none_are_seen():
    base, broken = one(1.0, 1.0, 1.0), one(math.nan, 2.0, math.inf)
    with pytest.warns(NonFiniteMergeWarning, match="w"):
        merged = RAM(rescale=0.5)(base, [broken, one(2.0, 1.0, 1.0)])["w"]
    assert merged[0].isnan() and merged[2] == math.inf and merged[1] > 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": -1.0}, "0 or more"),
        ({"rescale": math.nan}, "0 or more"),
        ({"limit": -1.0}, "limit"),
        ({"count": "row"}, "count is 'model' or 'tensor'; got 'row'"),
    ],
)
def test_options_that_make_no_sense(options, message):
    with pytest.raises(ConfigurationError, match=message):
        RAM(**options)
