"""The engine against whole float64 vectors: any shape, mixture of types and number, any threads and blocks."""

from __future__ import annotations

import warnings
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.made import ROUNDING

from accord.merging import (
    DARE,
    DELLA,
    SLERP,
    TIES,
    Breadcrumbs,
    Linear,
    NonFiniteMergeWarning,
    TallMasks,
    TaskArithmetic,
)
from accord.merging.align import align
from accord.merging.engine import Engine
from accord.merging.entry import Rules
from accord.merging.finite import fits
from accord.merging.in_memory import Tensors
from accord.merging.masks import draw_mask

TYPES = [torch.bfloat16, torch.float16, torch.float32, torch.float64]
SHAPES = [(), (0,), (1,), (0, 3), (3, 0), (5,), (7, 9), (2, 3, 4), (65,), (8, 16)]
METHODS = [
    Linear([0.2, 0.3, 0.5]),
    TaskArithmetic([0.3, -0.2, 0.4]),
    TIES(0.4),
    TIES([0.2, 0.5, 1.0], trim="tensor", merge="sum", weights=[0.3, -0.2, 1.0], draw="positive"),
    TIES(0.4, merge="max"),
    DARE(0.3, merge="ties"),
    DARE([0.02, 0.5, 1.0], merge="ties_sum", weights=[0.3, 1.0, 0.5]),
    DELLA(),
    Breadcrumbs(0.5, 0.1, trim="row"),
    TallMasks(joint="ties"),
]


def merged(method, base, models, threads=1, block=1 << 16):
    entries = align(method, base if method.base == "needed" else None, models, Rules())
    sink = Tensors(entries, torch.device("cpu"))
    noticed = []
    with patch.multiple("accord.merging.engine", BLOCK=block, SHORTEST=min(block, 64)):
        engine = Engine(threads, lambda name, count: noticed.append((name, count)))
        engine.merge([entry for entry in entries if not entry.tied], sink, engine.survey(entries))
    return {entry.name: sink.held[entry.tied or entry.name] for entry in entries}, dict(noticed)


@st.composite
def checkpoints(draw, models=3, types=TYPES, strange=True):
    """A base and models of a few tensors, each model's of a type of its own, with odd numbers at random places."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    shapes = draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3))
    own = draw(st.lists(st.sampled_from(types), min_size=1 + models, max_size=1 + models))
    base = {f"t{i}": torch.randn(shape, generator=generator).bfloat16() for i, shape in enumerate(shapes)}
    states = [
        base,
        *({k: v + 0.1 * torch.randn(v.shape, generator=generator) for k, v in base.items()} for _ in own[1:]),
    ]
    states = [{k: v.to(dtype) for k, v in state.items()} for state, dtype in zip(states, own, strict=True)]
    for state in states if strange else []:
        for tensor in state.values():
            info, flat = torch.finfo(tensor.dtype), tensor.view(-1)
            numbers = [0.0, -0.0, np.inf, -np.inf, np.nan, info.tiny, info.smallest_normal / 4, info.max / 16]
            odd = torch.tensor(numbers, dtype=torch.float64).to(tensor.dtype)
            flat[::3] = odd[torch.randint(len(odd), flat[::3].shape, generator=generator)]
    return states[0], states[1:]


def bits(tensors):
    """The bytes, all NaN being alike: which of two it is that a sum of them keeps, no processor promises."""
    return {k: v.nan_to_num(123.0, np.inf, -np.inf).reshape(-1).view(torch.uint8).tolist() for k, v in tensors.items()}


@settings(max_examples=40, deadline=None)
@given(
    made=checkpoints(),
    method=st.sampled_from(METHODS),
    threads=st.sampled_from([2, 3]),
    block=st.sampled_from([3, 16, 64]),
)
def test_threads_and_blocks_change_no_bit(made, method, threads, block):
    base, models = made
    with patch("accord.merging.selection.SAMPLE", (16, 64)):
        whole, noticed = merged(method, base, models)
        assert bits(merged(method, base, models, threads)[0]) == bits(whole)
        again, noticed_again = merged(method, base, models, threads, block)
    assert bits(again) == bits(whole) and noticed_again == noticed


@settings(max_examples=15, deadline=None)
@given(made=checkpoints(models=2), threads=st.sampled_from([2, 3]))
def test_threads_do_not_change_angles(made, threads):
    base, models = made
    assert bits(merged(SLERP(0.3), base, models, threads)[0]) == bits(merged(SLERP(0.3), base, models)[0])


def exact(parts, coefficients):
    """The weighted sum in float64; what all agree on, where it is not finite, stays."""
    parts = [part.double().numpy().reshape(-1) for part in parts]
    with np.errstate(all="ignore"):
        total = sum(c * part for c, part in zip(coefficients, parts, strict=True))
        size = sum(abs(c) * np.abs(part) for c, part in zip(coefficients, parts, strict=True))
    same = np.all([(part == parts[0]) | (np.isnan(part) & np.isnan(parts[0])) for part in parts], axis=0)
    return np.where(same & ~np.isfinite(total), parts[0], total), size


def agree(tensor, expected, size, half):
    """Equal up to one rounding to the tensor's type, and that of float32 arithmetic on half precision."""
    info = torch.finfo(tensor.dtype)
    got = tensor.double().numpy().reshape(-1)
    finite = np.isfinite(expected)
    assert (np.isnan(got) == np.isnan(expected)).all()
    assert (got[np.isinf(expected)] == expected[np.isinf(expected)]).all()
    room = info.eps / 2 * np.abs(expected) + info.smallest_normal * info.eps
    room = (room + (2.0**-21 if half else 2.0**-50) * np.nan_to_num(size))[finite]
    assert (np.abs(got[finite] - expected[finite]) <= room).all()


@settings(max_examples=60, deadline=None)
@given(made=checkpoints(), based=st.booleans())
def test_weighted_sums_are_those_of_float64_rounded_once(made, based):
    base, models = made
    coefficients = [0.25, 0.125, 0.375, 0.25] if based else [0.25, 0.5, 0.25]
    method = TaskArithmetic(coefficients[1:]) if based else Linear(coefficients)
    parts = [base, *models] if based else models
    found, noticed = merged(method, base, models)
    half = all(tensor.dtype.itemsize == 2 for part in parts for tensor in part.values())
    for name, tensor in found.items():
        expected, size = exact([part[name] for part in parts], coefficients)
        with np.errstate(over="ignore"):
            stored = torch.from_numpy(expected).to(tensor.dtype).double().numpy()
        expected = np.where(np.isfinite(stored), expected, stored)  # beyond the type's range
        agree(tensor, expected, size, half)
        every = [part[name].double().numpy().reshape(-1) for part in parts]
        settled = np.all([(part == every[0]) | (np.isnan(part) & np.isnan(every[0])) for part in every], axis=0)
        settled &= ~np.isfinite(every[0])
        assert noticed.get(name, 0) == (~np.isfinite(expected) & ~settled).sum()


@settings(max_examples=25, deadline=None)
@given(made=checkpoints(strange=False), densities=st.tuples(*[st.sampled_from([0.03, 0.3, 0.8, 1.0])] * 3))
def test_what_is_dropped_and_elected_is_what_a_dense_computation_finds(made, densities):
    base, models = made
    found, _ = merged(DARE(densities, merge="ties", seed=3), base, models, block=64)
    for name, tensor in found.items():
        origin = base[name].double().numpy().reshape(-1)
        deltas = [model[name].double().numpy().reshape(-1) - origin for model in models]
        for index, density in enumerate(densities):
            keep = np.empty(len(origin), np.uint8)
            draw_mask(3, name, index, 0, density, keep)
            deltas[index] = np.where(keep == 1, deltas[index] / density, 0.0)
        sign = np.sign(sum(deltas)) if len(origin) else origin
        count = sum(delta * sign > 0 for delta in deltas)
        merged_delta = sum(np.where(delta * sign > 0, delta, 0.0) for delta in deltas) / np.maximum(count, 1)
        # Where the sum is 0 but for rounding, its sign is anybody's.
        clear = np.abs(sum(deltas)) > 1e-5 * sum(np.abs(delta) for delta in deltas)
        error = np.abs(tensor.double().numpy().reshape(-1) - origin - merged_delta)
        assert (error <= ROUNDING[tensor.dtype] * (np.abs(origin) + np.abs(merged_delta)) + 1e-6)[
            clear | (count == 0)
        ].all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_one_odd_number_among_many_is_seen(dtype, odd):
    values = torch.full((70_001,), 1.5, dtype=torch.float64 if dtype.itemsize == 8 else torch.float32)
    assert fits(values, dtype)
    values[69_999] = odd
    assert not fits(values, dtype)


def test_numbers_that_only_rounding_makes_infinite_are_told_of():
    largest = torch.finfo(torch.float16).max
    models = [{"w": torch.tensor([largest, 1.0]).half()}, {"w": torch.tensor([largest, 2.0]).half()}]
    with pytest.warns(NonFiniteMergeWarning, match="1 merged number"):
        found = Linear([1.0, 1.0], normalise=False)(None, models)["w"]
    assert found.tolist() == [np.inf, 3.0]


def test_whole_numbers_are_copied_where_all_agree_and_a_counter_is_the_base_s():
    whole = torch.arange(70_000)
    states = [{"w": torch.ones(2), "ids": whole, "seen": torch.tensor(n)} for n in (5, 6)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = TaskArithmetic()(states[0], states[1:])
    assert torch.equal(found["ids"], whole) and found["seen"].item() == 5
