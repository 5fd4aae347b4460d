"""Thresholds of magnitudes against a sort, on what sorts badly: ties, infinities, and NaN, which count as smallest."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.merging.block import Block, Buffers
from accord.merging.selection import Thresholds

MANY = 600_000  # more than twice the smallest sample, so that a bracket is searched
odd = st.sampled_from([0.0, 1.0, 2.0**-149, float("inf"), float("nan"), 3.4028234663852886e38])


def found(numbers, rank, cut):
    survey = Thresholds(1, len(numbers), [rank], lambda block: [block.model(0)])
    stride = survey.stride
    while not survey.finished:
        parts = []
        for piece in torch.from_numpy(numbers[::stride].copy() if survey.sampling else numbers).split(cut):
            part = survey.part()
            part.look(Block("w", 0, len(piece), None, (piece,), torch.float32, Buffers(), (len(piece),)))
            parts.append(part)
        survey.take(parts)
    return survey.found[0][0]


def by_sorting(numbers, rank):
    known = np.sort(numbers[~np.isnan(numbers)])
    return float(known[-rank]) if rank < len(numbers) and rank <= len(known) else 0.0


@settings(max_examples=60, deadline=None)
@given(st.lists(odd | st.floats(0, width=32), min_size=1, max_size=40), st.floats(0, 1), st.integers(1, 40))
def test_the_threshold_of_a_few_numbers_is_that_of_a_sort(numbers, share, cut):
    values = np.array(numbers, np.float32)
    rank = 1 + int(share * (len(values) - 1))
    assert found(values, rank, cut) == by_sorting(values, rank)


@settings(max_examples=12, deadline=None)
@given(
    st.lists(odd, min_size=1, max_size=4),
    st.floats(0, 1),
    st.floats(0, 1),
    st.integers(0, 5),
    st.sampled_from([3, 599]),
)
def test_the_threshold_of_many_numbers_is_that_of_a_sort(odds, oddness, share, seed, pieces):
    rng = np.random.default_rng(seed)
    values = np.abs(rng.standard_normal(MANY)).astype(np.float32)
    replaced = rng.random(MANY) < oddness
    values[replaced] = rng.choice(np.array(odds, np.float32), int(replaced.sum()))
    rank = 1 + int(share * (MANY - 1))
    assert found(values, rank, MANY // pieces) == by_sorting(values, rank)


def test_no_number_is_lost_in_blocks_that_are_no_whole_groups():
    values = np.abs(np.random.default_rng(0).standard_normal(MANY)).astype(np.float32)
    assert all(found(values, rank, 1003) == by_sorting(values, rank) for rank in (MANY // 5, MANY // 2))


@pytest.mark.parametrize("count", [10, MANY])
def test_where_most_are_nan_the_threshold_keeps_all_others(count):
    values = np.full(count, np.nan, np.float32)
    values[:3] = [1.0, 2.0, np.inf]
    assert [found(values, rank, count) for rank in (1, 2, 3, 4, count // 2)] == [np.inf, 2.0, 1.0, 0.0, 0.0]
