"""Task vectors of a stretch of a tensor."""

from __future__ import annotations

import math

import pytest
import torch

from accord.merging.block import Block, Buffers


@pytest.mark.parametrize("bad", [math.inf, -math.inf])
def test_nothing_moved_where_model_and_base_hold_the_same_infinity(bad: float) -> None:
    """Otherwise it would be NaN, which ranks above every number when the largest are kept."""
    base = torch.tensor([9.0, bad, 1.0, bad])
    models = (torch.tensor([9.0, bad, 3.0, 0.0]), torch.tensor([9.0, bad, 1.0, bad]))
    block = Block("w", 1, 3, base, models, torch.float32, Buffers(), (4,))
    assert [row.tolist() for row in block.deltas().rows] == [[0.0, 2.0, -bad], [0.0, 0.0, 0.0]]
    assert block.delta(1).tolist() == [0.0, 0.0, 0.0]
