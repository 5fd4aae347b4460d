"""What each model brought to a merge: against dense sums, and compiled loops against tensor operations."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.merging.test_compiled import four, needs_library, without_library
from torch import Tensor

from accord.merging import Linear, Rules, TaskArithmetic
from accord.merging.align import align
from accord.merging.block import STRETCH
from accord.merging.contributions import Contribution, contributions

# Few numbers, so that there are ties, zeros and changes of several models in one place; sums of these are exact.
EXACT = (0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 1.5, 2.0, -3.0)
ALL = (*EXACT, 1e-40, np.inf, -np.inf, np.nan)
SEEDS, LENGTHS = st.integers(0, 1 << 32), st.integers(1, 40)


def drawn(numbers: tuple[float, ...], seed: int, *shape: int) -> tuple[Tensor, ...]:
    """Rows of some of these numbers."""
    return torch.tensor(np.random.default_rng(seed).choice(numbers, shape)).bfloat16().unbind()


def brought(base: Tensor | None, models: list[Tensor], merged: Tensor) -> Contribution:
    named = [{"w": model} for model in models]
    entries = align(Linear(), None, named, Rules())
    if base is not None:
        entries = align(TaskArithmetic(), {"w": base}, named, Rules())
    names = tuple(f"m{place}" for place in range(len(models)))
    return contributions(entries, {"w": names}, {"w": merged})["w"]


def dense(base: Tensor | None, models: list[Tensor], merged: Tensor) -> dict[str, Any]:
    """The same in float64, by its definition."""
    rows = np.stack([model.double().numpy() for model in models])
    origin = rows.mean(0) if base is None else base.double().numpy()
    changes, change = rows - origin, merged.double().numpy() - origin
    sizes, signs = np.abs(changes), np.sign(changes)
    return {
        "models": tuple(f"m{place}" for place in range(len(models))),
        "elements": merged.numel(),
        "base": origin @ origin,
        "gramian": changes @ changes.T,
        "merged": change @ change,
        "onto": changes @ change,
        "shared": int((np.abs(signs).sum(0) >= 2).sum()),
        "opposed": int(((signs > 0).any(0) & (signs < 0).any(0)).sum()),
        "size": sizes.sum(1),
        "cancelled": (sizes.sum(0) - np.abs(changes.sum(0))).sum(),
        "against": (sizes * (signs * np.sign(change) <= 0)).sum(1),
    }


def alike(found: Contribution, wanted: dict[str, Any], tolerance: float) -> None:
    for field in dataclasses.fields(found):
        value, other = getattr(found, field.name), wanted[field.name]
        if isinstance(other, int | tuple):
            assert value == other, field.name
        else:
            np.testing.assert_allclose(value, other, rtol=tolerance, atol=tolerance, err_msg=field.name)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 15, 16])
@pytest.mark.parametrize("based", [True, False])
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, length=LENGTHS)
def test_sums_are_those_of_the_definition(count: int, based: bool, seed: int, length: int) -> None:
    base, merged, *models = drawn(EXACT, seed, count + 2, length)
    if not based and count & (count - 1):
        models = [models[0]] * count  # the mean of others is no number of single precision
    origin = base if based else None
    wanted = dense(origin, models, merged)
    alike(brought(origin, models, merged), wanted, 1e-6)
    with without_library():
        alike(brought(origin, models, merged), wanted, 1e-6)


@needs_library
@pytest.mark.parametrize("based", [True, False])
@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, length=LENGTHS, numbers=st.integers(len(EXACT), len(ALL)))
@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
def test_what_is_not_finite_is_left_to_tensor_operations(based: bool, seed: int, length: int, numbers: int) -> None:
    base, merged, *models = drawn(ALL[:numbers], seed, 5, length)
    found = brought(base if based else None, models, merged)
    with without_library():
        wanted = brought(base if based else None, models, merged)
    alike(found, {field.name: getattr(wanted, field.name) for field in dataclasses.fields(wanted)}, 1e-5)


@needs_library
def test_stretches_add_up_past_one_that_is_not_finite() -> None:
    base, *models = four(2 * STRETCH + 1037)
    merged = torch.stack(models).float().mean(0).bfloat16()
    for broken in (False, True):
        if broken:
            merged[STRETCH + 5] = torch.inf
            models[1][-1] = torch.nan
        found = brought(base, models, merged)
        with without_library():
            wanted = brought(base, models, merged)
        alike(found, {field.name: getattr(wanted, field.name) for field in dataclasses.fields(wanted)}, 1e-5)
    assert found.elements == 2 * STRETCH + 1037


@needs_library
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_other_precisions_are_looked_at_as_before(dtype: torch.dtype) -> None:
    base, *models = (each.to(dtype) for each in four(501))
    merged = models[0].clone()
    alike(brought(base, models, merged), dense(base, models, merged), 1e-5)
