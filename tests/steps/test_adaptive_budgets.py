"""Budgets: what a step does to them, and that an adversary does not dominate for long."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

import accord
from accord.aggregation import NashMTL
from accord.engines import Step
from accord.errors import ConfigurationError
from accord.steps import AdaptiveBudgets


def seen(lengths: list[float], active: list[bool] | None = None) -> Step:
    count = len(lengths)
    names = tuple("abcdef"[:count])
    gramian = torch.diag(tensor(lengths, dtype=torch.float64).square())
    return Step(names, torch.zeros(count), None, gramian, tensor(active or [True] * count), {})


def test_by_hand() -> None:
    budgets = AdaptiveBudgets([8.0, 2.0], rate=0.5, floor=0.3)
    # Lengths 4 and 1, geometric mean 2: the first budget is halved to the power 1/2, the second would exceed the full.
    budgets.update(seen([4.0, 1.0]))
    assert budgets.values.tolist() == pytest.approx([8 / math.sqrt(2), 2.0])
    budgets.update(seen([1.0, 4.0]))
    assert budgets.values.tolist() == pytest.approx([8.0, math.sqrt(2)])
    for _ in range(9):
        budgets.update(seen([4.0, 1.0]))
    assert budgets.values.tolist() == pytest.approx([2.4, 2.0])


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_units_play_no_part_and_the_absent_are_left_alone(scale: float) -> None:
    found = AdaptiveBudgets([1.0, 1.0, 1.0])
    found.update(seen([4.0 * scale, 0.0, 2.0 * scale]))
    found.update(seen([4.0 * scale, 9.0 * scale, 2.0 * scale], [True, False, True]))
    plain = AdaptiveBudgets([1.0, 1.0])
    plain.update(seen([4.0, 2.0]))
    plain.update(seen([4.0, 2.0]))
    assert found.values.tolist() == pytest.approx([plain.values[0].item(), 1.0, 1.0])
    found.update(seen([0.0, 0.0, 0.0]))
    assert found.values.isfinite().all()


def test_lengths_are_evened_out_where_budgets_can_do_it() -> None:
    """Losses whose gradients grow with the budget, the first one's ten times as fast."""
    budgets = AdaptiveBudgets([1.0, 1.0], rate=1.0, floor=0.01)
    x = torch.ones(3, dtype=torch.float64, requires_grad=True)
    for _ in range(15):
        first, second = budgets.values.tolist()
        step = accord.backward([10 * first * x.sum(), second * x[0]], shared=[x], balancer=NashMTL())
        budgets.update(step)
        assert step.gramian is not None
        lengths = step.gramian.diagonal().sqrt()
    assert lengths[0] / lengths[1] == pytest.approx(1.0, abs=1e-3)
    assert budgets.values[1] == 1.0


def test_it_resumes() -> None:
    first, second = AdaptiveBudgets([3.0, 1.0]), AdaptiveBudgets([3.0, 1.0])
    first.update(seen([2.0, 1.0]))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.values, second.values) and first.values[0] < 3.0


def test_what_cannot_be_meant() -> None:
    for wrong in ([], [1.0, 0.0], [math.inf]):
        with pytest.raises(ConfigurationError, match="budgets"):
            AdaptiveBudgets(wrong)
    for options in ({"rate": 0.0}, {"floor": 1.5}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            AdaptiveBudgets([1.0], **options)
    budgets = AdaptiveBudgets([1.0, 1.0])
    with pytest.raises(ConfigurationError, match="2 budgets"):
        budgets.update(seen([1.0, 1.0, 1.0]))
    blind = Step(("a", "b"), torch.zeros(2), None, None, tensor([True, True]), {})
    with pytest.raises(ConfigurationError, match="no Gramian"):
        budgets.update(blind)
