"""Tensors that are worked out while they are read: any stretch of them, samples, and methods that rank entries."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from accord.merging import TIES
from accord.merging.adapters.adapted import AdaptedTensor
from accord.merging.adapters.factors import Factors
from accord.merging.engine import SAMPLED, _sampled
from accord.merging.entry import Entry
from accord.merging.lazy import as_tensor


def adapted(rows, width, rank=2, seed=0):
    """A lazy tensor and what it is."""
    generator = torch.Generator().manual_seed(seed)
    base = torch.randn(rows, width, generator=generator)
    a, b = torch.randn(rank, width, generator=generator), torch.randn(rows, rank, generator=generator)
    lazy = AdaptedTensor(base, Factors("m", "layer", a, b, 0.5))
    return lazy, base.double() + 0.5 * b.double() @ a.double()


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(0, 9), width=st.integers(0, 9), start=st.integers(0, 90), length=st.integers(0, 90))
def test_any_stretch_is_that_of_the_whole(rows, width, start, length):
    lazy, dense = adapted(rows, width)
    flat = dense.reshape(-1)
    stretch = lazy[start : start + length]
    assert stretch.shape == flat[start : start + length].shape
    assert torch.allclose(stretch, flat[start : start + length], atol=1e-12)
    assert len(lazy) == lazy.numel() == flat.numel()


def test_a_sample_is_that_of_a_plain_tensor():
    lazy, dense = adapted(700, 1000)
    entry = Entry(TIES(), "w", (700, 1000), torch.float32, torch.float64, None, (as_tensor(lazy), dense.reshape(-1)))
    for stride in (2, 5, 40):
        mine, plain = _sampled(entry, stride).models
        assert len(mine) == 700_000 // (SAMPLED * stride) * SAMPLED
        assert torch.allclose(mine, plain, atol=1e-12)


def test_methods_that_rank_entries_see_the_same_numbers():
    lazy, dense = adapted(600, 500)
    base = {"w": torch.zeros(600, 500, dtype=torch.float64)}
    for trim in ("tensor", "model"):
        method = TIES(density=0.1, trim=trim)
        merged = method(base, [{"w": as_tensor(lazy)}])
        assert torch.allclose(merged["w"], method(base, [{"w": dense}])["w"], atol=1e-12)
        assert int((merged["w"] != 0).sum()) == 30_000
