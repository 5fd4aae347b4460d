"""Gradients that are never copied into a Jacobian give what the Jacobian gives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import accord
from accord.aggregation import UPGrad
from accord.engines._kept import PAIRWISE, PIECE, Kept
from accord.engines._products import COLUMNS

ACTIVE = torch.ones(3, dtype=torch.bool)


def rows(gradients: list[Tensor | None]) -> Tensor:
    width = next(len(one) for one in gradients if one is not None)
    return torch.stack([torch.zeros(width) if one is None else one for one in gradients]).double()


@given(
    sizes=st.lists(
        st.sampled_from([0, 1, 7, COLUMNS - 1, COLUMNS, COLUMNS + 1, 2 * COLUMNS + 5, PIECE + 3]),
        min_size=1,
        max_size=3,
    ),
    tasks=st.sampled_from([1, 2, PAIRWISE, PAIRWISE + 1]),
    missing=st.sets(st.tuples(st.integers(0, 2), st.integers(0, PAIRWISE))),
    seed=st.integers(0, 10),
)
@settings(max_examples=30)
def test_equals_the_jacobian(sizes: list[int], tasks: int, missing: set[tuple[int, int]], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    gradients: list[list[Tensor | None]] = [
        [None if (i, t) in missing else torch.randn(size, generator=generator) for t in range(tasks)]
        for i, size in enumerate(sizes)
    ]
    active = torch.ones(tasks, dtype=torch.bool)
    kept, weights = Kept(gradients, [()] * tasks, active), torch.rand(tasks, generator=generator, dtype=torch.float64)
    whole = [rows(own) for own in gradients if any(one is not None for one in own)]
    expected = sum((one @ one.T for one in whole), torch.zeros(tasks, tasks, dtype=torch.float64))
    torch.testing.assert_close(kept.gramian(), expected, rtol=1e-4, atol=1e-3)
    found = kept.direction(weights)
    assert [one is None for one in found] == [all(one is None for one in own) for own in gradients]
    reached = [one for one in found if one is not None]
    for one, own in zip(reached, whole, strict=True):
        torch.testing.assert_close(one.double(), weights @ own, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("tasks", [2, PAIRWISE + 1])
@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e20])
def test_gradients_of_any_length_have_inner_products(tasks: int, scale: float) -> None:
    unit = torch.randn(tasks, 50, generator=torch.Generator().manual_seed(0))
    scales = torch.tensor([scale, *[1.0] * (tasks - 1)])
    gradients = [list(unit * scales[:, None])]
    found = Kept(gradients, [()] * tasks, torch.ones(tasks, dtype=torch.bool)).gramian()
    exact = (unit.double() @ unit.double().T) * scales.double() * scales.double()[:, None]
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=0.0)


@pytest.mark.parametrize("tasks", [2, PAIRWISE + 1])
def test_a_gradient_that_is_not_finite_marks_its_own_task_alone(tasks: int) -> None:
    rows = torch.ones(tasks, 3)
    rows[0, 1] = float("nan")
    found = Kept([list(rows)], [()] * tasks, torch.ones(tasks, dtype=torch.bool)).gramian()
    assert not bool(found[0].isfinite().any())
    assert found[1:, 1:].tolist() == [[3.0] * (tasks - 1)] * (tasks - 1)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_single(dtype: torch.dtype) -> None:
    ones = [torch.tensor([256.0], dtype=dtype), torch.tensor([1.0], dtype=dtype), torch.tensor([1.0], dtype=dtype)]
    (found,) = Kept([ones], [()] * 3, ACTIVE).direction(torch.ones(3))
    assert found is not None and found.dtype == torch.float32
    assert found.item() == 258.0  # bfloat16 knows 256 and then 258, but not 257


def test_a_task_of_weight_0_is_left_out_whatever_its_gradient() -> None:
    gradients = [[torch.tensor([1.0, 2.0]), torch.tensor([float("inf"), float("nan")]), torch.tensor([3.0, 4.0])]]
    (found,) = Kept(gradients, [()] * 3, ACTIVE).direction(torch.tensor([1.0, 0.0, 2.0]))
    assert found is not None and found.tolist() == [7.0, 10.0]


def test_gradients_that_share_memory_stay_what_they_were() -> None:
    """Autograd hands one tensor to both addends, and a broadcast one to a bias: nothing may be summed in place."""
    a, b, c = (torch.ones(3, requires_grad=True) for _ in range(3))
    losses = [(a + b).sum() + c.sum() * 2, ((a - b) * torch.tensor([1.0, 2.0, 3.0])).sum()]
    step = accord.backward(losses, [a, b, c], UPGrad(), engine="loop")
    first, second = step.weights.tolist()
    one = torch.tensor([1.0, 2.0, 3.0])
    for parameter, expected in ((a, first + second * one), (b, first - second * one), (c, torch.full((3,), 2 * first))):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, expected.to(parameter.grad))
