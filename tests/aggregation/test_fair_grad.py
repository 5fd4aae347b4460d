"""FairGrad's stationarity, its special case and its limits."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as some
from torch import tensor

from accord.aggregation import Aggregator, AuxiNash, DualProj, FairGrad, NashMTL
from accord.errors import ConfigurationError
from accord.testing import check_aggregator


@given(some.integers(0, 2**31), some.integers(1, 16), some.sampled_from([0.3, 0.5, 1.0, 2.0, 5.0]))
@settings(max_examples=60, deadline=None)
def test_no_direction_of_that_length_is_fairer(seed: int, tasks: int, alpha: float) -> None:
    rng = np.random.default_rng(seed)
    jacobian = rng.standard_normal((tasks, 2 * tasks)) * 10.0 ** rng.uniform(-2, 2, (tasks, 1))
    direction = FairGrad(alpha)(torch.from_numpy(jacobian)).numpy()
    assert np.linalg.norm(direction) == pytest.approx(np.linalg.norm(jacobian, axis=1).mean(), rel=1e-6)
    # Stationarity of the utility on a sphere: d is parallel to sum_i <g_i, d>^-alpha g_i.
    gains = jacobian @ direction
    assert gains.min() > 0
    # Where a gain is a billionth of the lengths, the ridge that bounds every bargain shows in it.
    assume((gains / np.linalg.norm(jacobian, axis=1)).min() > 1e-6 * np.linalg.norm(direction))
    pull = (gains / gains.min()) ** -alpha @ jacobian
    assert pull / np.linalg.norm(pull) == pytest.approx(direction / np.linalg.norm(direction), abs=1e-5)


def test_two_orthogonal_by_hand() -> None:
    # G = diag(1, 16) and alpha = 2: w = w_0^(-1/2) / G, so w = (1, 16^(-2/3)); J'w = (1, 4 * 16^(-2/3)).
    jacobian = torch.tensor([[1.0, 0.0], [0.0, 4.0]], dtype=torch.float64)
    wanted = np.array([1.0, 4 * 16 ** (-2 / 3)])
    wanted *= 2.5 / np.linalg.norm(wanted)
    assert FairGrad(2.0)(jacobian).tolist() == pytest.approx(wanted.tolist())


def test_a_zero_gradient_counts_in_the_length_and_has_no_say() -> None:
    rows = torch.tensor([[1.0, 0.0], [0.0, 3.0], [0.0, 0.0]], dtype=torch.float64)
    for alpha in (0.5, 1.0, 2.0):
        with_zero, without = FairGrad(alpha)(rows), FairGrad(alpha)(rows[:2])
        # Mean lengths 4/3 and 2, and one direction.
        assert with_zero.tolist() == pytest.approx((without * 2 / 3).tolist())
    assert NashMTL()(rows).tolist() == pytest.approx(FairGrad(1.0)(rows).tolist())


def test_proportional_fairness_is_the_nash_bargain() -> None:
    rows = torch.randn(5, 9, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    assert FairGrad(1.0)(rows).tolist() == pytest.approx(NashMTL()(rows).tolist())


@pytest.mark.parametrize("alpha", [1e-3, 3e-3])
def test_with_little_fairness_it_is_the_mean_as_near_as_no_task_loses(alpha: float) -> None:
    rng = np.random.default_rng(0)
    for spread in (0, 1, 3):
        for tasks in (2, 5):
            rows = rng.standard_normal((tasks, 6)) * 10.0 ** rng.uniform(-spread, spread, (tasks, 1))
            one, other = (method(torch.from_numpy(rows)) for method in (FairGrad(alpha), DualProj()))
            assert one.numpy() / one.norm().item() == pytest.approx(other.numpy() / other.norm().item(), abs=0.05)


@pytest.mark.parametrize("method", [NashMTL, lambda: FairGrad(0.5), lambda: FairGrad(3.0), AuxiNash])
def test_gradients_in_balance_move_nothing_in_single_precision(method: Callable[[], Aggregator]) -> None:
    axes = torch.randn(2, 60, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for angles in ([0.0, math.pi], [0.0, 2.0, 4.0], [0.0, 1.0, 2.0, 4.0, 5.0]):
        for turn in range(6):
            turned = tensor(angles, dtype=torch.float64)[:, None] + turn
            rows = torch.cat([turned.cos(), turned.sin()], dim=1) @ axes
            # Bargains without bound would add rounding up to a good part of a gradient, in a direction of no meaning.
            assert method()(rows.float()).norm() < 0.01 * rows.norm(dim=1).mean()


def test_other_degrees_of_fairness_keep_the_contract() -> None:
    for alpha in (0.5, 2.0):
        check_aggregator(
            lambda alpha=alpha: FairGrad(alpha), ("unanimous", "within_scale", "non_conflicting"), examples=5
        )


def test_alpha_is_checked() -> None:
    for wrong in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ConfigurationError, match="alpha"):
            FairGrad(wrong)
