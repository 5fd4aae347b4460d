"""FAMO's weights, what it learns from, and its state."""

from __future__ import annotations

import math

import pytest
import torch
from torch import tensor

import accord
from accord.errors import ConfigurationError
from accord.weighting import FAMO


def test_the_first_steps_by_hand() -> None:
    weighting = FAMO(lr=0.1, decay=0.0)
    # z is even, so weights go with 1 / L: 1 and 1/3.
    assert weighting(tensor([1.0, 3.0])).tolist() == pytest.approx([0.75, 0.25])
    # The first loss halves and the second stays: Adam's first step lowers the first logit by lr and raises the other.
    ratio = math.exp(-0.2) * 3.0 / 0.5
    assert weighting(tensor([0.5, 3.0])).tolist() == pytest.approx([1 / (1 + 1 / ratio), 1 / (1 + ratio)])


def test_the_slope_is_that_of_the_decrease_of_the_worst_mixture() -> None:
    weighting = FAMO(decay=0.3)
    weighting(torch.ones(3, dtype=torch.float64))
    weighting.logits = tensor([0.2, -0.4, 0.9], dtype=torch.float64)
    after = tensor([0.9, 0.5, 1.2], dtype=torch.float64)
    logits = weighting.logits.clone().requires_grad_()
    (torch.softmax(logits, 0) @ -after.log() + 0.15 * logits.square().sum()).backward()
    weighting.observe(after)
    assert (weighting.moments[0] / 0.1).tolist() == pytest.approx(logits.grad.tolist())  # pyright: ignore


def test_what_was_observed_is_not_learned_twice() -> None:
    once, twice = FAMO(), FAMO()
    for weighting in (once, twice):
        weighting(tensor([1.0, 2.0]))
    once.observe(tensor([0.5, 1.9]))
    assert twice(tensor([0.5, 1.9])).tolist() == once(tensor([0.5, 1.9])).tolist()
    assert once.updates.tolist() == twice.updates.tolist() == [1.0, 1.0]


def test_the_task_that_lags_gains_weight() -> None:
    weighting = FAMO(decay=0.0)
    for step in range(100):
        weighting(tensor([0.9**step, 0.99**step]))
    assert weighting.logits[1] > weighting.logits[0] + 1


def test_an_absent_task_keeps_its_logit() -> None:
    weighting = FAMO()
    weighting(tensor([1.0, 2.0, 3.0]))
    weighting(tensor([0.5, math.nan, 2.9]), active=tensor([True, False, True]))
    assert weighting.logits[1] == 0 and weighting.logits[0] < 0 < weighting.logits[2]
    weighting(tensor([0.4, 1.0, 2.8]))
    assert weighting.updates.tolist() == [2.0, 0.0, 2.0]


def test_bounds_and_losses_that_reach_them() -> None:
    weighting = FAMO(bounds=[-1.0, 2.0])
    assert weighting(tensor([0.0, 5.0])).tolist() == pytest.approx([0.75, 0.25])
    assert weighting(tensor([-1.0, 5.0])).tolist() == [0.0, 1.0]
    assert weighting(tensor([-1.0, 2.0])).tolist() == [0.0, 0.0]
    with pytest.raises(ConfigurationError, match="above their lower bounds"):
        weighting(tensor([-1.5, 5.0]))


def test_options_are_checked() -> None:
    for options in ({"lr": 0.0}, {"lr": math.nan}, {"decay": -1.0}, {"bounds": [math.inf]}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            FAMO(**options)
    with pytest.raises(ConfigurationError, match="bounds"):
        FAMO(bounds=[0.0])(torch.ones(2))


def test_the_papers_protocol_is_its_pseudo_code_around_an_optimiser() -> None:
    generator = torch.Generator().manual_seed(0)
    features, targets = (torch.randn(32, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    theirs = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
    ours = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)

    def losses(parameter: torch.Tensor) -> torch.Tensor:
        return (features @ parameter - targets * tensor([0.1, 1.0, 10.0])).square().mean(dim=0)

    logits = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    learner = torch.optim.Adam([logits], lr=0.025, weight_decay=0.01)
    weighting = FAMO()
    for _ in range(25):
        (gradient,) = torch.autograd.grad((before := losses(theirs)).sum(), theirs)  # columns do not mix
        z = torch.softmax(logits.detach(), 0)
        weights = (z / before.detach()) / (z / before.detach()).sum()
        theirs = (theirs - 0.05 * gradient * weights).detach().requires_grad_()
        fallen = before.detach().log() - losses(theirs).detach().log()
        (logits.grad,) = torch.autograd.grad(torch.softmax(logits, 0) @ fallen, logits)
        learner.step()

        ours.grad = None
        step = accord.backward(losses(ours), shared=[ours], balancer=weighting)
        with torch.no_grad():
            ours -= 0.05 * (ours.grad if ours.grad is not None else 0)
            weighting.observe(losses(ours))
        assert step.weights is not None and torch.allclose(step.weights, weights, rtol=1e-9)
        assert torch.allclose(weighting.logits, logits.detach(), rtol=1e-6, atol=1e-12)


def test_validation_losses_teach_alone_when_asked_for() -> None:
    weighting, by_hand = FAMO(learn_from="validation"), FAMO()
    weighting(tensor([1.0, 2.0]))
    weighting(tensor([9.0, 0.1]))
    assert weighting.logits.tolist() == [0.0, 0.0]
    validations = [tensor([1.0, 1.0]), tensor([0.5, 0.9]), tensor([0.4, math.nan]), tensor([0.3, 0.6])]
    for validation in validations:
        weighting.end_epoch(validation=validation)
    by_hand(validations[0])
    by_hand.observe(validations[1])
    by_hand.before = validations[1].double().log()
    by_hand.observe(tensor([0.4, 1.0]), active=tensor([True, False]))
    by_hand.before = tensor([0.4, 0.9]).double().log()
    by_hand.observe(validations[3])
    assert torch.equal(weighting.logits, by_hand.logits)
    assert weighting.updates.tolist() == [3.0, 2.0]
    unasked = FAMO()
    unasked(tensor([1.0, 2.0]))
    unasked.end_epoch(validation=tensor([0.5, 2.0]))
    assert unasked.updates.tolist() == [0.0, 0.0]
    with pytest.raises(ConfigurationError, match="validation"):
        FAMO(learn_from="validating")  # pyright: ignore[reportArgumentType]
