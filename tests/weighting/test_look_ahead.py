"""What a step would do: against autograd through the unrolled step."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn, tensor

from accord.errors import ConfigurationError, NonFiniteLossWarning
from accord.weighting.look_ahead import combined, differences, exact, moved, rows, trainable, values

STEP = 0.3
WEIGHTS = tensor([0.5, 0.2, 0.3], dtype=torch.float64)


class Toy:
    """A small network with three losses per batch, on two batches."""

    def __init__(self, seed: int = 0) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
            self.batches = [torch.randn(6, 4, dtype=torch.float64) for _ in range(2)]
            self.targets = [torch.randn(6, 3, dtype=torch.float64) for _ in range(2)]
        self.parameters = list(self.model.parameters())

    def losses(self, batch: int) -> Tensor:
        return (self.model(self.batches[batch]) - self.targets[batch]).square().mean(dim=0)

    def train(self) -> Tensor:
        return self.losses(0)

    def held_out(self) -> Tensor:
        return self.losses(1)

    def after(self, weights: Tensor) -> Tensor:
        """The held-out losses ``[3]`` after a step with ``weights``, differentiable in them."""
        named = dict(self.model.named_parameters())
        slopes = torch.autograd.grad(weights @ self.train(), list(named.values()), create_graph=True)
        stepped = {name: value - STEP * slope for (name, value), slope in zip(named.items(), slopes, strict=True)}
        outputs = torch.func.functional_call(self.model, stepped, (self.batches[1],))
        return (outputs - self.targets[1]).square().mean(dim=0)


def fixed(weights: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda _: weights


def test_slopes_are_those_of_the_unrolled_step() -> None:
    toy = Toy()
    wanted = torch.autograd.functional.jacobian(toy.after, WEIGHTS)
    now, found = exact(toy.parameters, toy.train, toy.held_out, fixed(WEIGHTS), STEP)
    assert isinstance(wanted, Tensor)
    assert torch.allclose(found, wanted, rtol=1e-9, atol=1e-12)
    assert torch.allclose(now, toy.train())


def test_differences_come_close_to_them() -> None:
    toy = Toy()
    chosen = tensor([1.0, 0.0, 2.0], dtype=torch.float64)
    _, slopes = exact(toy.parameters, toy.train, toy.held_out, fixed(WEIGHTS), STEP)
    now, found = differences(toy.parameters, toy.train, toy.held_out, fixed(WEIGHTS), STEP, fixed(chosen))
    assert torch.allclose(found, chosen @ slopes, rtol=1e-3, atol=1e-6)
    assert torch.allclose(now, toy.train())


def test_parameters_are_put_back_bit_for_bit_whatever_happens() -> None:
    toy = Toy()
    before = [parameter.detach().clone() for parameter in toy.parameters]
    exact(toy.parameters, toy.train, toy.held_out, fixed(WEIGHTS), STEP)
    differences(toy.parameters, toy.train, toy.held_out, fixed(WEIGHTS), STEP, fixed(WEIGHTS))
    with (
        pytest.raises(ZeroDivisionError),
        moved(toy.parameters, torch.ones(sum(p.numel() for p in before)), 1e30),
    ):
        assert not torch.equal(toy.parameters[0], before[0])
        raise ZeroDivisionError
    assert all(torch.equal(now, then) for now, then in zip(toy.parameters, before, strict=True))
    assert all(parameter.grad is None for parameter in toy.parameters)


def test_both_ends_of_a_difference_see_the_same_dropout() -> None:
    toy, masks = Toy(), []

    def train() -> Tensor:
        mask = torch.rand(6, 4, dtype=torch.float64) < 0.5
        masks.append(mask)
        return (toy.model(toy.batches[0] * mask) - toy.targets[0]).square().mean(dim=0)

    with torch.random.fork_rng():
        torch.manual_seed(0)
        differences(toy.parameters, train, toy.held_out, fixed(WEIGHTS), STEP, fixed(WEIGHTS))
    assert torch.equal(masks[1], masks[2]) and not torch.equal(masks[0], masks[1])


def test_absent_and_infinite_losses_move_nothing() -> None:
    toy = Toy()

    def train() -> list[Tensor | None]:
        first, second, _ = toy.train()
        return [first, None, second / torch.zeros(())]

    with pytest.warns(NonFiniteLossWarning):
        now, found = exact(toy.parameters, train, toy.held_out, fixed(WEIGHTS), STEP)
    assert now.isfinite().tolist() == [True, False, False]
    assert found[:, 0].all() and not found[:, 1:].any()
    alone = combined([toy.train()[0]], WEIGHTS[:1], toy.parameters)
    assert torch.allclose(combined(train(), WEIGHTS, toy.parameters), alone)
    assert not combined([None, None], WEIGHTS[:2], toy.parameters).any()


@pytest.mark.filterwarnings("ignore::accord.errors.NonFiniteLossWarning")
def test_slopes_that_are_not_finite_move_nothing_and_lead_nowhere() -> None:
    place, seen = nn.Parameter(tensor([0.0, 1.0], dtype=torch.float64)), []

    def train() -> Tensor:
        seen.append(place.detach().clone())
        return torch.stack([place[1] ** 2, 3 * place[1]])

    def held_out() -> list[Tensor]:
        return [place[0].sqrt() + place[1]]  # 0 at the place that is looked at, its slope infinite

    alone = tensor([0.0, 0.0], dtype=torch.float64)
    assert not rows(held_out(), [place]).any()
    _, found = differences([place], train, held_out, fixed(alone), STEP, fixed(torch.ones(1)))
    assert found.tolist() == [0.0, 0.0]
    assert all(where.isfinite().all() for where in seen), "a forward behind a step of no length"


def test_losses_come_in_any_form() -> None:
    toy = Toy()
    as_list, as_dict = list(toy.train()), dict(zip("abc", toy.train(), strict=True))
    assert torch.equal(values(as_list), values(as_dict)) and torch.equal(values(as_list), values(toy.train()))
    assert torch.allclose(rows(as_list, toy.parameters), rows(as_dict, toy.parameters))


def test_frozen_parameters_are_left_out() -> None:
    toy = Toy()
    toy.parameters[0].requires_grad_(False)
    assert len(trainable(toy.parameters)) == 3
    with pytest.raises(ConfigurationError, match="all frozen"):
        trainable(toy.parameters[:1])
