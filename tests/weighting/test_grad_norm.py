from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, tensor

import accord
from accord.errors import ConfigurationError, NonFiniteError
from accord.weighting import GradNorm


def gramian_of_norms(*norms: float) -> Tensor:
    return torch.diag(tensor(norms, dtype=torch.float64) ** 2)


def test_the_first_step_by_hand() -> None:
    weighting = GradNorm(alpha=1.5, lr=0.1)
    losses = tensor([1.0, 1.0], dtype=torch.float64)
    assert weighting(losses, gramian=gramian_of_norms(3.0, 1.0)).tolist() == [0.5, 0.5]
    # Rates are 1 and both targets the mean norm 2: the first weight falls and the second rises, each by lr, which is
    # Adam's first step; their sum is 2 as before.
    second = weighting(losses, gramian=gramian_of_norms(3.0, 1.0))
    assert second.tolist() == pytest.approx([0.9 / 2, 1.1 / 2], rel=1e-6)


def test_weights_balance_norms_when_rates_are_alike() -> None:
    weighting = GradNorm(lr=0.01)
    losses, gramian = tensor([2.0, 5.0, 1.0]), gramian_of_norms(1.0, 2.0, 4.0)
    for _ in range(400):
        weights = weighting(losses, gramian=gramian)
    # w n alike and sum 1: in proportion to 1, 1/2, 1/4.
    assert weights.tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7], rel=0.05)


def test_weighted_norms_settle_at_the_papers_targets() -> None:
    # At alpha 1 the targets sum to what the norms do, so that all can be met: w n in proportion to the rates.
    weighting = GradNorm(alpha=1.0, lr=0.01)
    gramian, later = gramian_of_norms(2.0, 1.0, 1.0), tensor([0.9, 0.5, 0.3])
    weighting(torch.ones(3), gramian=gramian)
    for _ in range(600):
        weights = weighting(later, gramian=gramian).numpy()
    wanted = later.numpy() / np.array([2.0, 1.0, 1.0])
    assert weights == pytest.approx(wanted / wanted.sum(), rel=0.08)


def test_a_task_that_joins_later_is_compared_with_its_own_start() -> None:
    weighting = GradNorm()
    gramian = gramian_of_norms(1.0, 1.0)
    weighting(tensor([4.0, math.nan]), gramian=gramian, active=tensor([True, False]))
    weighting(tensor([2.0, 10.0]), gramian=gramian)
    assert weighting.initial.tolist() == [4.0, 10.0]


def test_an_inactive_task_keeps_its_weight_and_its_share_of_the_sum() -> None:
    weighting = GradNorm()
    losses, gramian = tensor([1.0, 2.0, 3.0]), gramian_of_norms(1.0, 5.0, 2.0)
    for _ in range(3):
        weighting(losses, gramian=gramian)
    before = weighting.weights.clone()
    weighting(losses, gramian=gramian, active=tensor([True, False, True]))
    assert weighting.weights[1] == before[1] and not torch.equal(weighting.weights, before)
    assert float(weighting.weights.sum()) == pytest.approx(3.0)


def test_weights_never_turn_a_task_round() -> None:
    weighting = GradNorm(lr=5.0)
    for _ in range(20):
        weights = weighting(tensor([1.0, 1.0]), gramian=gramian_of_norms(100.0, 1e-3))
    assert weights.min() > 0


def test_zero_gradients_move_nothing() -> None:
    weighting = GradNorm()
    for _ in range(3):
        assert weighting(torch.ones(2), gramian=torch.zeros(2, 2)).tolist() == [0.5, 0.5]


def test_what_it_cannot_work_with_is_said() -> None:
    with pytest.raises(ConfigurationError, match="needs the Gramian"):
        GradNorm()(torch.ones(2))
    with pytest.raises(ConfigurationError, match="must not be negative"):
        GradNorm()(tensor([1.0, -1.0]), gramian=torch.eye(2))
    for options in ({"alpha": -1.0}, {"alpha": math.nan}, {"lr": 0.0}, {"lr": math.inf}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            GradNorm(**options)


@pytest.mark.parametrize("scale", [1.0, 1e-12])
def test_the_weights_descend_the_papers_objective(scale: float) -> None:
    """Against autograd and PyTorch's Adam, on norms and rates that change from step to step."""
    rng, alpha, lr = np.random.default_rng(0), 1.7, 0.03
    weighting = GradNorm(alpha=alpha, lr=lr)
    ours = torch.ones(3, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([ours], lr=lr)
    initial = None
    for _ in range(12):
        losses, norms = torch.from_numpy(rng.uniform(0.2, 2.0, 3)), torch.from_numpy(rng.uniform(0.3, 3.0, 3))
        initial = losses if initial is None else initial
        found = weighting(losses, gramian=torch.diag((scale * norms) ** 2))
        assert found.tolist() == pytest.approx((ours.detach() / 3).tolist(), rel=1e-6)
        rates = losses / initial / (losses / initial).mean()
        mean = (ours * norms).mean().detach()
        adam.zero_grad()
        ((ours * norms - mean * rates**alpha).abs().sum() / mean).backward()
        adam.step()
        ours.data *= 3 / ours.data.sum()
    assert np.ptp(found.numpy()) > 0.05, "weights that hardly moved test nothing"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_gradients_that_are_not_finite_are_named_and_leave_no_trace(bad: float) -> None:
    weighting, losses, gramian = GradNorm(), torch.ones(3), torch.diag(tensor([1.0, bad, 4.0]))
    with pytest.raises(NonFiniteError, match=r"gradients of task\(s\) \[1\]"):
        weighting(losses, gramian=gramian)
    active = tensor([True, False, True])
    for _ in range(2):
        weights = weighting(losses, gramian=gramian, active=active)
    assert weights.isfinite().all() and weights[0] > weights[2] > 0


def test_losses_that_are_all_zero_are_no_accident() -> None:
    weighting, gramian = GradNorm(), gramian_of_norms(1.0, 3.0)
    weighting(tensor([1.0, 2.0]), gramian=gramian_of_norms(1.0, 1.0))  # balanced: nothing moves yet
    first = [float(weighting(torch.zeros(2), gramian=gramian)[0]) for _ in range(4)]
    # Tasks that are done lag alike, and what is left to balance are the norms.
    assert first == sorted(set(first))


def test_norms_are_taken_at_the_last_shared_layer_when_it_is_named() -> None:
    generator = torch.Generator().manual_seed(0)
    first, last = (torch.randn(3, 3, generator=generator, requires_grad=True) for _ in range(2))
    heads = torch.randn(2, 3, generator=generator, requires_grad=True)
    features = torch.randn(5, 3, generator=generator)

    def losses() -> Tensor:
        return (torch.tanh(features @ first) @ last @ heads.T).square().mean(dim=0)

    weighting, by_hand = GradNorm(lr=0.1), GradNorm(lr=0.1)
    for _ in range(3):
        step = accord.backward(losses(), [first, last], weighting, at=[last])
        rows = [torch.autograd.grad(loss, last, retain_graph=True)[0].flatten() for loss in losses()]
        gramian = torch.stack(rows) @ torch.stack(rows).T
        assert step.gramian is not None and torch.allclose(step.gramian.to(gramian), gramian, rtol=1e-4)
        wanted = by_hand(losses().detach(), gramian=gramian)
        assert step.weights is not None and torch.allclose(step.weights, wanted, rtol=1e-4)
    everywhere = accord.gramian(losses(), [first, last])
    assert not torch.allclose(everywhere.to(gramian), gramian, rtol=0.1)
    assert first.grad is not None and heads.grad is not None  # all of them are trained
