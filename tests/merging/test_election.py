"""Elections of signs against one written out entry by entry, on what is odd: draws, infinities, NaN, many voters."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.merging.block import Block, Buffers
from accord.merging.election import elect

entries = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, -3.0, 0.5, 2.0**-149, math.inf, -math.inf, math.nan])


def elected(rows, how, weights, draw):
    length = len(rows[0])
    block = Block("w", 0, length, None, (torch.empty(0),) * len(rows), torch.float32, Buffers(), (length,))
    deltas = block.stack()
    deltas.whole.copy_(torch.tensor(rows))
    return elect(block, deltas, how, weights, draw).tolist()


def by_hand(column, how, weights, draw):
    total = sum(column)
    # Infinities of both signs draw; where a draw elects nobody, what they leave is no number.
    if any(map(math.isnan, column)) or (math.isnan(total) and not draw):
        return math.nan
    sign = draw if math.isnan(total) or not total else math.copysign(1.0, total)
    agreeing = [(abs(value), abs(weight)) for value, weight in zip(column, weights, strict=True) if value * sign > 0]
    if not agreeing:
        return 0.0
    sizes = [size for size, _ in agreeing]
    if how == "max":
        return sign * max(sizes)
    return sign * sum(sizes) / (sum(share for _, share in agreeing) if how == "mean" else 1.0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(entries, min_size=n, max_size=n), min_size=1, max_size=40)),
    st.sampled_from(["mean", "sum", "max"]),
    st.sampled_from([(1.0, 1.0, 1.0, 1.0), (1.0, -1.0, 1.0, 1.0), (1.0, 2.0, 0.5, 4.0)]),
    st.sampled_from([0.0, 1.0]),
)
def test_an_election_is_that_of_each_entry(columns, how, weights, draw):
    weights = weights[: len(columns[0])]
    found = elected([list(row) for row in zip(*columns, strict=True)], how, weights, draw)
    expected = [by_hand(column, how, weights, draw) for column in columns]
    assert found == pytest.approx(expected, rel=1e-6, abs=0.0, nan_ok=True)


@pytest.mark.parametrize("count", [255, 256, 257, 600])
def test_more_voters_than_a_byte_counts_are_counted(count):
    found = elected([[1.0, float(place % 2)] for place in range(count)], "mean", [1.0] * count, 0.0)
    assert found == [1.0, 1.0]
    assert elected([[3.0]] + [[1.0]] * (count - 1), "mean", [1.0] * count, 0.0) == pytest.approx([1 + 2 / count])
