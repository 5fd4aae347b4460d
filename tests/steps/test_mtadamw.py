"""MT-AdamW: against the rule written out, against AdamW, and what an unmixed run converges to."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn, tensor

from accord.errors import ConfigurationError, NonFiniteError
from accord.steps import MTAdamW


def point(*values: float) -> nn.Parameter:
    return nn.Parameter(tensor(values, dtype=torch.float64))


def test_the_first_step_by_hand() -> None:
    # Gradient (3, 4) of a task with ratio 1/4 and weight 2: g = (1.2, 1.6). Both moments count it four times, so that
    # after bias correction m = 4 g, n = 4 g^2 and m / sqrt(n) = 2 in each coordinate.
    x = point(1.0, 1.0)
    optimiser = MTAdamW([x], {"a": 1.0, "b": 3.0}, weights={"a": 2.0}, lr=0.1, weight_decay=0.0, eps=0.0)
    x.grad = tensor([3.0, 4.0], dtype=torch.float64)
    optimiser.step(task="a")
    assert x.tolist() == pytest.approx([0.8, 0.8])


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20])
def test_it_follows_the_rule(scale: float) -> None:
    rng = np.random.default_rng(0)
    ratios, weights = {"a": 0.2, "b": 0.5, "c": 0.3}, {"a": 1.0, "b": 0.5, "c": 1.0}
    x, y = point(*rng.standard_normal(3)), point(*rng.standard_normal(2))
    theta, first, second = np.concatenate([x.tolist(), y.tolist()]), np.zeros(5), np.zeros(5)
    optimiser = MTAdamW(
        [{"params": [x]}, {"params": [y]}], ratios, {"b": 0.5}, lr=0.01, betas=(0.8, 0.95), weight_decay=0.1
    )
    for step in range(1, 30):
        task = rng.choice(list(ratios))
        gradient = rng.standard_normal(5)
        x.grad, y.grad = (torch.from_numpy(part * scale) for part in (gradient[:3], gradient[3:]))
        optimiser.step(task=task)
        gradient *= weights[task] / np.linalg.norm(gradient)
        first = 0.8 * first + 0.2 / ratios[task] * gradient
        second = 0.95 * second + 0.05 / ratios[task] * gradient**2
        theta = theta - 0.01 * 0.1 * theta
        theta = theta - 0.01 * (first / (1 - 0.8**step)) / (np.sqrt(second / (1 - 0.95**step)) + 1e-8)
    assert [*x.tolist(), *y.tolist()] == pytest.approx(theta.tolist(), rel=1e-10)


def test_with_one_task_it_is_adamw_on_gradients_of_length_one() -> None:
    rng = np.random.default_rng(1)
    x, y = point(0.3, -0.2), point(0.3, -0.2)
    ours = MTAdamW([x], {"only": 5.0}, lr=0.05, weight_decay=0.2)
    theirs = torch.optim.AdamW([y], lr=0.05, weight_decay=0.2)
    for _ in range(20):
        gradient = torch.from_numpy(rng.standard_normal(2))
        x.grad, y.grad = 7 * gradient, gradient / gradient.norm()
        ours.step(task="only")
        theirs.step()
    assert torch.allclose(x, y, rtol=1e-12)


def test_a_head_that_waits_counts_its_waiting() -> None:
    """A parameter without gradient, once it has had one, goes on as with a gradient of 0; before, it is untouched."""
    rng = np.random.default_rng(2)
    pairs = [(point(1.0, 2.0), point(3.0)) for _ in range(2)]
    optimisers = [MTAdamW(pair, {"a": 0.5, "b": 0.5}, lr=0.1) for pair in pairs]
    for step in range(12):
        gradient, head = torch.from_numpy(rng.standard_normal(2)), torch.from_numpy(rng.standard_normal(1))
        drawn = step % 3 == 1
        for (trunk, own), optimiser, absent in zip(pairs, optimisers, (None, torch.zeros_like(head)), strict=True):
            trunk.grad = gradient
            own.grad = head if drawn else absent if step else None
            optimiser.step(task="a" if drawn else "b")
        if step == 0:
            assert pairs[0][1].item() == 3.0 and not optimisers[0].state[pairs[0][1]]
    for one, two in zip(*pairs, strict=True):
        assert torch.equal(one, two) and not torch.equal(one, point(*[3.0] * len(one)))


def test_rare_tasks_count_as_much_as_frequent_ones() -> None:
    """Moments are unbiased: over whole periods their mean is the sum over tasks, whatever the ratios."""
    ratios = {"often": 0.9, "rarely": 0.1}
    gradients = {"often": tensor([1.0, 0.0]).double(), "rarely": tensor([0.0, 1e6]).double()}
    x = point(0.0, 0.0)
    optimiser = MTAdamW([x], ratios, lr=1e-9, betas=(0.7, 0.8))
    means, squares = [], []
    for step in range(150):
        task = "rarely" if step % 10 == 4 else "often"
        x.grad = gradients[task]
        optimiser.step(task=task)
        means.append(optimiser.state[x]["exp_avg"].clone())
        squares.append(optimiser.state[x]["exp_avg_sq"].clone())
    for moments in (means, squares):
        assert torch.stack(moments[100:]).mean(dim=0).tolist() == pytest.approx([1.0, 1.0])


def test_it_resumes() -> None:
    rng = np.random.default_rng(4)
    gradients = [torch.from_numpy(rng.standard_normal(2)) for _ in range(8)]
    first, second = point(1.0, 1.0), point(1.0, 1.0)
    ours, theirs = (MTAdamW([x], {"a": 0.4, "b": 0.6}, lr=0.1) for x in (first, second))
    for step, gradient in enumerate(gradients):
        if step == 4:
            with torch.no_grad():
                second.copy_(first)
            theirs.load_state_dict(copy.deepcopy(ours.state_dict()))
        for x, optimiser in ((first, ours), (second, theirs)):
            x.grad = gradient.clone()
            if x is first or step >= 4:
                optimiser.step(task="ab"[step % 2])
    assert torch.equal(first, second)


def test_schedules_closures_and_loss_scaling_go_through() -> None:
    x = point(1.0)
    optimiser = MTAdamW([x], {"a": 1.0}, lr=0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, 1, gamma=0.5)

    def closure() -> float:
        optimiser.zero_grad()
        loss = x.square().sum()
        loss.backward()
        return loss.item()

    assert optimiser.step(closure, task="a") == 1.0
    schedule.step()
    assert optimiser.param_groups[0]["lr"] == 0.05
    y = nn.Parameter(torch.ones(1))
    optimiser = MTAdamW([y], {"a": 1.0}, lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(y.square().sum()).backward()
    scaler.step(optimiser, task="a")
    assert y.item() < 1.0


def test_bad_numbers_change_nothing() -> None:
    x = point(1.0)
    optimiser = MTAdamW([x], {"a": 1.0})
    for bad in (math.nan, math.inf):
        x.grad = tensor([bad], dtype=torch.float64)
        with pytest.raises(NonFiniteError, match="'a'"):
            optimiser.step(task="a")
    assert x.item() == 1.0 and not optimiser.state[x]
    x.grad = tensor([0.0], dtype=torch.float64)
    optimiser.step(task="a")
    assert x.isfinite().all()


def test_options_are_checked() -> None:
    x = point(1.0)
    for ratios in ({}, {"a": 0.0}, {"a": math.nan}):
        with pytest.raises(ConfigurationError, match="ratios"):
            MTAdamW([x], ratios)
    with pytest.raises(ConfigurationError, match=r"'cation'.*'caption'"):
        MTAdamW([x], {"caption": 1.0}, weights={"cation": 1.0})
    for options in ({"lr": -1.0}, {"eps": math.nan}, {"weight_decay": -0.1}, {"betas": (0.9, 1.0)}):
        with pytest.raises(ConfigurationError, match=next(iter(options))):
            MTAdamW([x], {"a": 1.0}, **options)
    x.grad = tensor([1.0], dtype=torch.float64)
    with pytest.raises(ConfigurationError, match="'caption'"):
        MTAdamW([x], {"caption": 1.0}).step(task="captions")
