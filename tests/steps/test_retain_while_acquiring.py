"""Retain while acquiring: against a closed form, an unrolled step, and finite differences."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.steps.pairs import Setting, numbers, setting, slopes
from torch import Tensor, nn, tensor

import accord
from accord.aggregation import Sum
from accord.errors import ConfigurationError
from accord.steps import RetainWhileAcquiring

ORDERS = ("exact", "expansion", "first")


class Point(nn.Module):
    """A model that is its two parameters."""

    def __init__(self, *values: float) -> None:
        super().__init__()
        self.x = nn.Parameter(tensor(values, dtype=torch.float64))

    def forward(self) -> Tensor:
        return self.x


def test_quadratic_losses_by_hand() -> None:
    # A = |x|^2 / 2 and R = |x - c|^2 / 2 with c = (2, 0): a step of rate a leads to (1 - a) x.
    centre, rate = tensor([2.0, 0.0], dtype=torch.float64), 0.25
    wanted = {
        # grad = x + (x - c) + (1 - a) ((1 - a) x - c) at x = (1, 4): (1 - 1 + 0.75 (0.75 - 2), 4 + 4 + 0.75 * 3).
        "exact": ([8.5, 8.5 + ((0.75 - 2) ** 2 + 9) / 2], [-0.9375, 10.25]),
        # R - a <x, x - c> = 8.5 - 0.25 (-1 + 16); its gradient x - c - a (2 x - c).
        "expansion": ([8.5, 8.5 + 8.5 - 3.75], [-1.0, 4 + 4 + 4 - 2.0]),
        # The gradient at (0.75, 3), taken as if x were there.
        "first": ([8.5, 8.5 + ((0.75 - 2) ** 2 + 9) / 2], [-1.25, 11.0]),
    }
    for order, (values, gradient) in wanted.items():
        model = Point(1.0, 4.0)
        losses = RetainWhileAcquiring(rate, order)(  # pyright: ignore[reportArgumentType]
            model, lambda net: net().square().sum() / 2, lambda net: (net() - centre).square().sum() / 2
        )
        assert losses.tolist() == pytest.approx(values), order
        losses.sum().backward()
        assert model.x.grad is not None and model.x.grad.tolist() == pytest.approx(gradient), order


def objectives(given: Setting):
    half = given.x[:3], given.y[0, :3]
    rest = given.x[3:], given.y[1, 3:]

    def loss(net, x: Tensor, y: Tensor) -> Tensor:
        first, second = net(x)
        return (first * second - y).square().mean() + second.exp().mean()

    return lambda net: loss(net, *half), lambda net: loss(net, *rest)


def unrolled(model: nn.Module, acquire, retain, rate: float) -> float:
    """The objective with a real step, taken on a copy."""
    total = acquire(model).item() + retain(model).item()
    ahead = copy.deepcopy(model)
    gradients = torch.autograd.grad(acquire(ahead), list(ahead.parameters()))
    with torch.no_grad():
        for parameter, gradient in zip(ahead.parameters(), gradients, strict=True):
            parameter -= rate * gradient
    return total + retain(ahead).item()


def expanded(model: nn.Module, acquire, retain, rate: float) -> float:
    parts = [numbers(torch.autograd.grad(f(model), list(model.parameters()))) for f in (acquire, retain)]
    return acquire(model).item() + 2 * retain(model).item() - rate * float(parts[0] @ parts[1])


@pytest.mark.parametrize(("order", "objective"), [("exact", unrolled), ("expansion", expanded)])
def test_the_gradient_is_that_of_the_objective(order, objective) -> None:
    given = setting()
    model, rate = given.model, 0.3
    acquire, retain = objectives(given)
    losses = RetainWhileAcquiring(rate, order)(model, acquire, retain)
    assert float(losses.detach().sum()) == pytest.approx(objective(model, acquire, retain, rate), rel=1e-12)
    losses.sum().backward()
    found = slopes(model.parameters())
    generator = torch.Generator().manual_seed(1)
    start = [p.detach().clone() for p in model.parameters()]
    for _ in range(3):
        direction = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in start]
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                for p, s, d in zip(model.parameters(), start, direction, strict=True):
                    p.copy_(s + sign * 1e-5 * d)
            values.append(objective(model, acquire, retain, rate))
        assert (values[0] - values[1]) / 2e-5 == pytest.approx(float(found @ numbers(direction)), rel=1e-6)


def test_the_first_order_neglects_only_second_derivatives() -> None:
    given = setting()
    acquire, retain = objectives(given)
    gaps = []
    for rate in (1e-2, 1e-3):
        found = []
        for order in ORDERS:
            given.model.zero_grad()
            RetainWhileAcquiring(rate, order)(given.model, acquire, retain).sum().backward()
            found.append(slopes(given.model.parameters()))
        gaps.append([float((other - found[0]).norm()) for other in found[1:]])
    # The expansion is off by the square of the rate, the first order by the rate.
    assert gaps[0][0] / gaps[1][0] == pytest.approx(100, rel=0.3)
    assert gaps[0][1] / gaps[1][1] == pytest.approx(10, rel=0.3)


@pytest.mark.parametrize("order", ORDERS)
def test_the_two_losses_go_to_any_balancer(order) -> None:
    given = setting()
    rule, (acquire, retain) = RetainWhileAcquiring(0.2, order), objectives(given)
    rule(given.model, acquire, retain).sum().backward()
    wanted = slopes(given.model.parameters())
    given.model.zero_grad()
    step = accord.backward(
        rule(given.model, acquire, retain), shared=given.model.parameters(), balancer=Sum(), engine="loop"
    )
    assert step.active.all()
    assert torch.allclose(slopes(given.model.parameters()), wanted, rtol=1e-10)


def test_without_memory_yet_there_is_acquisition_alone() -> None:
    given = setting()
    acquire, _ = objectives(given)
    losses = RetainWhileAcquiring()(given.model, acquire, None)
    assert losses[1] == 0.0
    step = accord.backward(losses, shared=given.model.parameters(), balancer=Sum())
    assert step.active.tolist() == [True, False]
    found = slopes(given.model.parameters())
    assert torch.allclose(found, numbers(torch.autograd.grad(acquire(given.model), list(given.model.parameters()))))


def test_frozen_and_unused_parameters_stay_out() -> None:
    given = setting()
    for parameter in given.model.trunk[0].parameters():
        parameter.requires_grad_(False)
    given.model.register_parameter("unused", nn.Parameter(torch.ones(2, dtype=torch.float64)))
    acquire, retain = objectives(given)
    for order in ORDERS:
        RetainWhileAcquiring(0.1, order)(given.model, acquire, retain).sum().backward()
    assert given.model.trunk[0].weight.grad is None and given.model.unused.grad is None
    assert given.model.heads[0].weight.grad is not None


def test_options_are_checked() -> None:
    with pytest.raises(ConfigurationError, match="rate"):
        RetainWhileAcquiring(0.0)
    with pytest.raises(ConfigurationError, match="exact"):
        RetainWhileAcquiring(order="exakt")  # pyright: ignore[reportArgumentType]
