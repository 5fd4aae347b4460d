"""Layer by layer: no more gradients at a time than are needed, and none that hooks would have changed."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor, nn

import accord
from accord.aggregation import UPGrad
from accord.engines import _rules
from accord.engines._sweep import Sweep
from accord.errors import InexactGramianWarning


def losses_of(features: Tensor, tasks: int) -> list[Tensor]:
    return [features[:, task].sin().mean() for task in range(tasks)]


def test_gradients_of_one_task_at_a_time_are_on_both_sides_of_a_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks, rows = 12, 5
    trunk = nn.Sequential(*(nn.Linear(16, 16) for _ in range(4)))
    losses = losses_of(trunk(torch.randn(rows, 16)), tasks)
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    add = Sweep.add

    def watched(sweep: Sweep, node, port: int, task: int, gradient: Tensor | None) -> None:
        add(sweep, node, port, task, gradient)
        if gradient is not None and gradient.shape == (rows, 16):
            seen.append(weakref.ref(gradient))
            alive.append(sum(one() is not None for one in seen))

    monkeypatch.setattr(Sweep, "add", watched)
    accord.gramian(losses, list(trunk.parameters()), engine="gramian")
    assert len(seen) >= 4 * tasks
    assert max(alive) <= tasks + 2


@pytest.mark.parametrize("columns", [1, 7, 16, 17, 40, 100])
def test_weights_are_compared_in_pieces_of_any_width(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    torch.manual_seed(0)
    inputs, gradients = torch.randn(9, 6, dtype=torch.float64), list(torch.randn(3, 9, 40, dtype=torch.float64))
    monkeypatch.setattr(_rules, "_BLOCK", columns * 3 * 6 * 8)
    given: list[bool] = []
    monkeypatch.setattr(_rules, "_HEAVY", 16 * 3 * 6 * 8)  # bytes of 16 columns
    monkeypatch.setattr(_rules, "release_memory", lambda: given.append(True))
    rows = torch.stack([(inputs.T @ gradient).flatten() for gradient in gradients])
    torch.testing.assert_close(_rules.linear_by_weights(inputs, gradients), rows @ rows.T)
    assert len(given) == (columns >= 40)  # 17 are cut into pieces of 16, too


@pytest.mark.parametrize("grouped", [False, True])
def test_a_hook_that_changes_the_gradients_is_told_of(grouped: bool) -> None:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8))
    parts = {"first": list(trunk[0].parameters()), "second": list(trunk[2].parameters())}
    groups = parts if grouped else list(trunk.parameters())
    balancer = accord.engines.PerGroup(UPGrad(), parts) if grouped else UPGrad()

    def step(factor: float) -> None:
        hidden = trunk[:2](torch.randn(5, 6))
        hidden.register_hook(lambda gradient: gradient * factor)
        accord.backward(losses_of(trunk[2](hidden), 3), groups, balancer, engine="gramian")

    step(1.0)  # warnings are errors in these tests
    with pytest.warns(InexactGramianWarning, match='engine="loop"') as caught:
        step(0.1)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("scale", [1e-30, 1e-12, 1e12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_size_of_the_gradients_is_taken_for_a_hook(scale: float, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 8)).to(dtype)
    losses = [loss * scale for loss in losses_of(trunk(torch.randn(5, 6, dtype=dtype)), 4)]
    accord.backward(losses, trunk.parameters(), UPGrad(), engine="gramian")
    assert all(parameter.grad is not None for parameter in trunk.parameters())
