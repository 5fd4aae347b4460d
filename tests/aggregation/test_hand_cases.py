"""Numbers worked out by hand, with the working."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, tensor

from accord.aggregation import (
    IMTLG,
    MGDA,
    Aggregator,
    AlignedMTL,
    CAGrad,
    DualProj,
    Mean,
    NashMTL,
    PCGrad,
    Sum,
    UPGrad,
)
from accord.errors import ConfigurationError

# Two orthogonal gradients of length 1 and 2.
RIGHT = tensor([[1.0, 0.0], [0.0, 2.0]], dtype=torch.float64)
# Two gradients in conflict: cosine -1/sqrt(2), the second of length sqrt(2).
CONFLICT = tensor([[1.0, 0.0], [-1.0, 1.0]], dtype=torch.float64)

CASES: list[tuple[Aggregator, Tensor, list[float]]] = [
    (Mean(), RIGHT, [0.5, 1.0]),
    (Sum(), RIGHT, [1.0, 2.0]),
    # The foot of the perpendicular from 0 on the segment from (1, 0) to (0, 2): w = (4/5, 1/5).
    (MGDA(), RIGHT, [0.8, 0.4]),
    # On the segment from (1, 0) to (-1, 1), |(1 - 2t, t)|^2 is least at t = 2/5.
    (MGDA(), CONFLICT, [0.2, 0.4]),
    (PCGrad(), RIGHT, [0.5, 1.0]),
    # (1, 0) loses its part along (-1, 1): (1/2, 1/2). (-1, 1) loses its part along (1, 0): (0, 1). Mean of the two.
    (PCGrad(), CONFLICT, [0.25, 0.75]),
    (UPGrad(), RIGHT, [0.5, 1.0]),
    # The same projections, for with two tasks the dual cone's faces are the other gradient's hyperplane.
    (UPGrad(), CONFLICT, [0.25, 0.75]),
    # Weights 1 and 3, so 1/4 (1/2, 1/2) + 3/4 (0, 1).
    (UPGrad(preference=[1, 3]), CONFLICT, [0.125, 0.875]),
    # The mean (0, 1/2) conflicts with neither; with three times the first task, (1/2, 1/4) does with the second, and
    # loses its part along (-1, 1): <(1/2, 1/4), (-1, 1)> / 2 = -1/8, so (3/8, 3/8).
    (DualProj(), CONFLICT, [0.0, 0.5]),
    (DualProj(preference=[3, 1]), CONFLICT, [0.375, 0.375]),
    # Orthonormal rows are aligned already up to their lengths: the smaller one, 1, times the mean of (1, 0) and (0, 1).
    (AlignedMTL(), RIGHT, [0.5, 0.5]),
    (AlignedMTL("rmse"), RIGHT, [math.sqrt(2.5) / 2] * 2),
    # The lower of two medians is the smaller.
    (AlignedMTL("median"), RIGHT, [0.5, 0.5]),
    (AlignedMTL(preference=[3, 1]), RIGHT, [0.75, 0.25]),
    # Equal progress along (1, 0) and (0, 1) with w_1 + w_2 = 1 and w = (k, k/2): k = 2/3.
    (IMTLG(), RIGHT, [2 / 3, 2 / 3]),
    # G = diag(1, 4), so a = (1, 1/2): J'a = (1, 1), times the mean norm 3/2 over sqrt(2).
    (NashMTL(), RIGHT, [1.5 / math.sqrt(2)] * 2),
    # Powers 1/4 and 3/4: a = (1/2, sqrt(3)/4), J'a = (1/2, sqrt(3)/2), times the preferred norm 1/4 + 3/4 * 2.
    (NashMTL(preference=[1, 3]), RIGHT, [1.75 * 0.5, 1.75 * math.sqrt(3) / 2]),
    # Only one task at the table: its gradient.
    (NashMTL(preference=[0, 1]), RIGHT, [0.0, 2.0]),
    (CAGrad(c=0.0), CONFLICT, [0.0, 0.5]),
    # g_0 = (0, 1/2) and c |g_0| = 1/4. The lesser of <g_1, d> = d_1 and <g_2, d> = d_2 - d_1 is best where they are
    # equal, d = (s, 2 s), as far out as the ball allows: s^2 + (2 s - 1/2)^2 = 1/16, larger root s = 1/4. Over 1 + c.
    (CAGrad(c=0.5), CONFLICT, [0.25 / 1.5, 0.5 / 1.5]),
]


@pytest.mark.parametrize(("aggregator", "jacobian", "wanted"), CASES, ids=lambda value: type(value).__name__)
def test_by_hand(aggregator: Aggregator, jacobian: Tensor, wanted: list[float]) -> None:
    assert aggregator(jacobian).tolist() == pytest.approx(wanted, abs=1e-9)


def test_a_task_without_gain_does_not_stop_the_others() -> None:
    # The third gradient is 0: no direction helps it, so the other two decide, around the mean of all three.
    jacobian = torch.cat([CONFLICT, torch.zeros(1, 2, dtype=torch.float64)])
    direction = 1.5 * CAGrad()(jacobian)
    middle = tensor([0.0, 1 / 3], dtype=torch.float64)
    assert float((direction - middle).norm()) == pytest.approx(0.5 / 3)
    assert float((CONFLICT @ direction).min()) > 0


def test_tasks_that_start_with_unequal_preference() -> None:
    # g_0 = (1/4, 3/2) and no conflict: the min-norm weights pull d towards MGDA's direction, inside the ball.
    centre = tensor([0.25, 1.5], dtype=torch.float64)
    direction = 1.5 * CAGrad(preference=[1, 3])(RIGHT)
    assert float((direction - centre).norm()) == pytest.approx(0.5 * float(centre.norm()))


@pytest.mark.parametrize("make", [UPGrad, DualProj, AlignedMTL, CAGrad, NashMTL])
def test_preferences_are_checked(make: type) -> None:
    for wrong in ([], [0.0, 0.0], [-1.0, 2.0], [math.nan, 1.0], [[1.0, 2.0]]):
        with pytest.raises(ConfigurationError, match="preference"):
            make(preference=wrong)
    with pytest.raises(ConfigurationError, match="3 entries but there are 2 tasks"):
        make(preference=[1.0, 2.0, 3.0])(RIGHT)
    assert not make(preference=[1.0, 0.0])(RIGHT, active=tensor([False, True])).any()


def test_a_preference_is_kept_in_the_state() -> None:
    kept = UPGrad(preference=[1, 3]).state_dict()
    fresh = UPGrad()
    fresh.load_state_dict(kept)
    assert fresh(CONFLICT).tolist() == pytest.approx([0.125, 0.875])


def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'median'"):
        AlignedMTL("medain")  # pyright: ignore[reportArgumentType]
    for wrong in (-0.1, math.nan, math.inf):
        with pytest.raises(ConfigurationError, match="c must be"):
            CAGrad(c=wrong)
