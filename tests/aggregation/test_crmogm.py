"""CR-MOGM: the average of another method's weights, its state, and what it wraps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import tensor

from accord.aggregation import CRMOGM, MGDA, CAGrad, GradVac, Krum, PCGrad
from accord.errors import ConfigurationError
from accord.testing import check_aggregator


def test_it_averages_the_weights() -> None:
    rng = np.random.default_rng(0)
    smooth, plain, wanted = CRMOGM(CAGrad(0.4), alpha=0.7), CAGrad(0.4), None
    for _ in range(5):
        rows = torch.from_numpy(rng.standard_normal((4, 9)))
        decided = plain.weights(rows @ rows.T)
        wanted = decided if wanted is None else 0.7 * wanted + 0.3 * decided
        assert smooth(rows).tolist() == pytest.approx((wanted @ rows).tolist())


def test_by_hand() -> None:
    smooth = CRMOGM("krum", alpha=0.5, options={"byzantine": 0})
    # Krum picks one gradient: first the first, then the third, of which half and half remain.
    assert smooth(tensor([[1.0], [1.1], [9.0]])).tolist() == pytest.approx([1.0])
    assert smooth(tensor([[0.0], [9.0], [9.0]])).tolist() == pytest.approx([4.5])
    assert isinstance(smooth.aggregator, Krum)


def test_absent_tasks_and_their_even_shares() -> None:
    smooth = CRMOGM(alpha=0.5)
    # MGDA gives 1/3 each; then, of two at right angles and lengths 1 and 2, weights 4/5 and 1/5.
    smooth(torch.eye(3))
    direction = smooth(torch.diag(tensor([1.0, 2.0, 7.0])), active=tensor([True, True, False]))
    assert direction.tolist() == pytest.approx([(1 / 2 + 4 / 5) / 2, (1 / 2 + 1 / 5), 0.0])
    assert smooth.average.tolist() == pytest.approx([1.3, 0.7, 1.0])
    # Back again, what it had counts half: MGDA gives lengths 1, 1, 2 weights 4/9, 4/9, 1/9.
    back = smooth(torch.diag(tensor([1.0, 1.0, 2.0])))
    assert back.tolist() == pytest.approx([(1.3 + 4 / 3) / 6, (0.7 + 4 / 3) / 6, 2 * (1 + 1 / 3) / 6])
    late = CRMOGM(alpha=0.5)
    late(torch.eye(2), active=tensor([True, False]))
    late(torch.diag(tensor([1.0, 2.0])))
    assert late.average.tolist() == pytest.approx([(1 + 8 / 5) / 2, (1 + 2 / 5) / 2])


def test_those_that_are_there_divide_what_as_many_have() -> None:
    smooth = CRMOGM(alpha=0.5)
    smooth(torch.diag(tensor([1.0, 1.0, 2.0])))  # weights 4/9, 4/9, 1/9
    # The first and third had 5/9 of it, 4 to 1; alone together they are to have all, and this step says half and half.
    weights = smooth.weights(torch.eye(3), active=tensor([True, False, True]))
    assert weights.tolist() == pytest.approx([(4 / 5 + 1 / 2) / 2, 0.0, (1 / 5 + 1 / 2) / 2])
    assert smooth.average.tolist() == pytest.approx([3 * 5 / 9 * 0.65, 3 * 4 / 9, 3 * 5 / 9 * 0.35])
    # One alone has all, whatever it had among others; two that had nothing have even shares, and go on having nothing.
    assert smooth.weights(torch.eye(3), active=tensor([False, True, False])).tolist() == [0.0, 1.0, 0.0]
    picky = CRMOGM("krum", alpha=0.5, options={"byzantine": 0})
    picky(tensor([[1.0], [1.1], [9.0]]))
    assert picky.weights(torch.eye(3), active=tensor([False, True, True])).tolist() == [0.0, 0.75, 0.25]
    assert picky.average.tolist() == [3.0, 0.0, 0.0]


@pytest.mark.parametrize("inner", [lambda: GradVac(beta=0.2), lambda: PCGrad(seed=3)])
def test_the_state_of_the_smoothed_method_is_saved_too(inner) -> None:
    check_aggregator(lambda: CRMOGM(inner()), ("unanimous",), examples=4)
    smooth = CRMOGM(inner())
    smooth(torch.randn(3, 5, generator=torch.Generator().manual_seed(0)))
    assert {name.partition(".")[0] for name in smooth.state_dict()} == {"average", "seen", "aggregator"}


def test_a_step_without_weights_is_remembered_as_such() -> None:
    smooth = CRMOGM("imtlg", alpha=0.5)
    assert not smooth(tensor([[1.0, 2.0], [-1.0, -2.0]])).any()  # opposed: no direction is impartial
    assert smooth(tensor([[1.0, 2.0], [1.0, 2.0]])).tolist() == pytest.approx([0.5, 1.0])


def test_it_calms_what_jumps() -> None:
    rng = np.random.default_rng(2)
    smooth, plain = CRMOGM("mgda", alpha=0.9), MGDA()
    pairs = []
    for _ in range(60):
        rows = torch.from_numpy(np.eye(3) + 0.5 * rng.standard_normal((3, 3)))
        pairs.append((smooth.weights(rows @ rows.T).numpy(), plain.weights(rows @ rows.T).numpy()))
    calm, wild = (np.abs(np.diff(np.array(run), axis=0)).mean() for run in zip(*pairs, strict=True))
    assert calm < wild / 4


def test_what_it_cannot_smooth_is_named() -> None:
    with pytest.raises(ConfigurationError, match="sum has none"):
        CRMOGM("sum")
    with pytest.raises(ConfigurationError, match="grad_drop has none"):
        CRMOGM("grad_drop")
    with pytest.raises(ConfigurationError, match="Did you mean 'cagrad'"):
        CRMOGM("cagrd")
    with pytest.raises(ConfigurationError, match="made already"):
        CRMOGM(MGDA(), options={"normalisation": "l2"})
    for wrong in (-0.1, 1.0, math.nan):
        with pytest.raises(ConfigurationError, match="alpha"):
            CRMOGM(alpha=wrong)
    smooth = CRMOGM()
    smooth(torch.eye(3))
    with pytest.raises(ConfigurationError, match="set up for 3 tasks but was given 2"):
        smooth(torch.eye(2))


def test_losses_reach_the_smoothed_method() -> None:
    rows, losses = torch.diag(tensor([1.0, 2.0])), tensor([0.5, 1.0])
    smooth = CRMOGM("mgda", options={"normalisation": "loss"})
    assert smooth(rows, losses=losses).tolist() == pytest.approx([0.5, 1.0])
