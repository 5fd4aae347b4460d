"""The two-step losses, against autograd through each task's own step."""

from __future__ import annotations

import pytest
import torch
from tests.weighting.test_look_ahead import STEP, Toy
from torch import Tensor

import accord
from accord.aggregation import UPGrad
from accord.weighting import MAMLMTL


def wanted(toy: Toy, task: int, second_order: bool) -> tuple[Tensor, list[Tensor]]:
    """The loss of ``task`` after its own step, and its gradient."""
    named = dict(toy.model.named_parameters())
    leaves = list(named.values())
    slopes = torch.autograd.grad(
        toy.train()[task], leaves, create_graph=True, allow_unused=True, materialize_grads=True
    )
    kept = slopes if second_order else [slope.detach() for slope in slopes]
    stepped = {name: value - STEP * slope for (name, value), slope in zip(named.items(), kept, strict=True)}
    outputs = torch.func.functional_call(toy.model, stepped, (toy.batches[1],))
    loss = (outputs - toy.targets[1]).square().mean(dim=0)[task]
    return loss.detach(), list(torch.autograd.grad(loss, leaves))


@pytest.mark.parametrize("second_order", [False, True])
def test_losses_and_gradients_are_those_behind_the_tasks_own_steps(second_order: bool) -> None:
    toy, balancer = Toy(), MAMLMTL(second_order)
    before = [parameter.detach().clone() for parameter in toy.parameters]
    losses = balancer.two_step(toy.parameters, inner=toy.train, outer=toy.held_out, step=STEP)
    assert all(torch.equal(now, then) for now, then in zip(toy.parameters, before, strict=True))
    accord.backward(losses, shared=toy.parameters, balancer=balancer)
    oracle = [wanted(toy, task, second_order) for task in range(3)]
    for task, (value, _) in enumerate(oracle):
        assert losses[task].item() == pytest.approx(value.item())  # pyright: ignore[reportOptionalMemberAccess]
    for place, parameter in enumerate(toy.parameters):
        mean = torch.stack([gradient[place] for _, gradient in oracle]).mean(dim=0)
        assert parameter.grad is not None and torch.allclose(parameter.grad, mean, rtol=1e-9)


@pytest.mark.parametrize("engine", ["loop", "auto"])
def test_any_balancer_takes_them(engine: str) -> None:
    toy = Toy(1)
    losses = MAMLMTL().two_step(toy.parameters, inner=toy.train, outer=toy.held_out, step=STEP)
    found = accord.jacobian(losses, toy.parameters, engine=engine)
    rows = [torch.cat([part.flatten() for part in wanted(toy, task, False)[1]]) for task in range(3)]
    assert torch.allclose(found, torch.stack(rows), rtol=1e-9)
    accord.backward(losses, shared=toy.parameters, balancer=UPGrad(), engine=engine)
    assert toy.parameters[0].grad is not None


@pytest.mark.parametrize(("second_order", "slope"), [(False, 1.47), (True, 0.588)])
def test_parameters_that_a_task_does_not_reach_and_losses_without_curvature(second_order: bool, slope: float) -> None:
    one, two = (torch.nn.Parameter(torch.tensor(value, dtype=torch.float64)) for value in (1.0, 2.0))

    def losses() -> list[Tensor]:
        return [one**3, 2 * two + 1]

    found = MAMLMTL(second_order).two_step([one, two], inner=losses, outer=losses, step=0.1)
    # A step of 0.3 leads to 0.7, cubed, with slope 3 * 0.49 there, times 1 - 0.1 * 6 through the step.
    assert [loss.item() for loss in found if loss is not None] == pytest.approx([0.343, 4.6])
    assert accord.jacobian(found, [one, two]).tolist() == [[pytest.approx(slope), 0.0], [0.0, pytest.approx(2.0)]]
    (straight,) = MAMLMTL(second_order).two_step(
        [two], inner=lambda: losses()[1:], outer=lambda: losses()[1:], step=0.1
    )
    assert straight is not None and straight.item() == pytest.approx(4.6)


def test_absent_tasks_stay_absent() -> None:
    toy, balancer = Toy(), MAMLMTL()

    def partly(absent: int, batch: int) -> list[Tensor | None]:
        return [None if task == absent else loss for task, loss in enumerate(toy.losses(batch))]

    losses = balancer.two_step(toy.parameters, inner=lambda: partly(0, 0), outer=lambda: partly(2, 1), step=STEP)
    assert losses[0] is None and losses[2] is None and losses[1] is not None
    step = accord.backward(losses, shared=toy.parameters, balancer=balancer)
    assert step.weights is not None and step.weights.tolist() == [0.0, 1.0, 0.0]
