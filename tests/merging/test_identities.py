"""What every method of the room must do, whatever else it does."""

from __future__ import annotations

import inspect
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.made import siblings

from accord.merging import MergingMethod
from accord.registry import registered

METHODS = {
    name: cls
    for name, cls in registered("merging").items()
    if issubclass(cls, MergingMethod) and cls.method.needs == "parameters"
}
CASES = [pytest.param(cls(), id=name) for name, cls in METHODS.items()]
BASED = [pytest.param(cls(), id=name) for name, cls in METHODS.items() if cls.base == "needed"]


def fitting(method, models):
    """As many models as the method takes, and a base where it looks at one."""
    fewest = method.fewest - (method.counts_base and method.base != "unused")
    return models[: method.most or max(3, fewest)]


@pytest.mark.parametrize("method", BASED)
def test_models_that_equal_the_base_change_nothing_not_even_infinities(method):
    base = {
        "mask": torch.tensor([[0.0, -math.inf], [math.inf, math.nan]]),
        "w": torch.arange(6.0),
        "m": torch.arange(6.0).view(2, 3),
    }
    merged = method(base, fitting(method, [dict(base) for _ in range(3)]))
    assert torch.equal(merged["mask"].nan_to_num(7.0), base["mask"].nan_to_num(7.0))
    assert torch.equal(merged["w"], base["w"]) and torch.equal(merged["m"], base["m"])


@pytest.mark.parametrize("method", CASES)
@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.bfloat16, torch.float16]),
    rows=st.integers(0, 5),
    columns=st.integers(0, 5),
    zeros=st.integers(0, 3),
)
def test_any_shape_and_type_gives_finite_numbers_of_the_same_shape_and_type(method, seed, dtype, rows, columns, zeros):
    base, models = siblings(seed, 3, dtype, ((rows, columns), (columns,), (), (2, 3, 2, 2), (1, 4)))
    for model in models[:zeros]:
        model["t0"], model["t1"] = base["t0"], torch.zeros_like(base["t1"])
    given_base = None if method.base == "unused" or (method.most == 2 and method.counts_base) else base
    merged = method(given_base, fitting(method, models))
    for name, tensor in base.items():
        assert merged[name].shape == tensor.shape and merged[name].dtype == dtype
        assert torch.isfinite(merged[name]).all()


SCALED = [pytest.param(cls, id=n) for n, cls in METHODS.items() if "scale" in inspect.signature(cls).parameters]


@pytest.mark.parametrize("cls", SCALED)
def test_a_scale_of_0_gives_the_base_or_nothing(cls):
    base, models = siblings(4, 3, torch.bfloat16, ((6, 5), (11,), ()))
    method = cls(scale=0.0)
    merged = method(base if method.base == "needed" else None, fitting(method, models))
    for name, tensor in base.items():
        assert torch.equal(merged[name], tensor if method.base == "needed" else torch.zeros_like(tensor))


@pytest.mark.parametrize("method", CASES)
def test_twice_gives_the_same_bits_and_leaves_the_inputs_alone(method):
    base, models = siblings(3, 3)
    kept = [{name: tensor.clone() for name, tensor in state.items()} for state in (base, *models)]
    given_base = None if method.base == "unused" or (method.most == 2 and method.counts_base) else base
    first, second = (method(given_base, fitting(method, models)) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    for before, after in zip(kept, (base, *models), strict=True):
        assert all(torch.equal(before[name], after[name]) for name in before)


SYMMETRIC = [
    case for case in CASES if case.values[0].most is None and case.id not in ("dare", "della", "tall_masks", "emr")
]


@pytest.mark.parametrize("method", SYMMETRIC)
def test_the_order_of_the_models_does_not_matter(method):
    base, models = siblings(5, 3, torch.float32, ((6, 5), (11,)))
    given_base = None if method.base == "unused" else base
    one_way, other = method(given_base, models), method(given_base, models[::-1])
    assert all(torch.allclose(one_way[name], other[name], rtol=1e-5, atol=1e-6) for name in base)
