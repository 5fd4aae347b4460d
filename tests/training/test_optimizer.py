"""Our AdamW is PyTorch's, step for step, and does not import its compiler."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn

from accord.errors import RunError
from accord.registry import build
from accord.training.optimizer import AdamW, Group, build_optimizer, clip_gradients
from accord.training.spec import TrainingSpec


def twins() -> tuple[nn.Module, nn.Module]:
    first = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 2))
    second = nn.Sequential(nn.Linear(5, 7), nn.LayerNorm(7), nn.Linear(7, 2))
    second.load_state_dict(first.state_dict())
    return first, second


def test_it_is_torchs_adamw() -> None:
    ours, theirs = twins()
    optimizer = AdamW([Group(list(ours.parameters()), 1e-2, 0.1)])
    reference = torch.optim.AdamW(theirs.parameters(), lr=1e-2, weight_decay=0.1, fused=True)
    generator = torch.Generator().manual_seed(0)
    for step in range(50):
        x = torch.randn(16, 5, generator=generator)
        factor = 1 - step / 50
        reference.param_groups[0]["lr"] = 1e-2 * factor
        for model in (ours, theirs):
            model.zero_grad()
            model(x).square().mean().backward()
        optimizer.step(factor)
        reference.step()
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_parameters_without_gradient_stay() -> None:
    p, q = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    p.grad = torch.ones(2)
    AdamW([Group([p, q], 0.1, 0.5)]).step(1.0)
    assert p.tolist() != [1, 1]
    assert q.tolist() == [1, 1]


def test_state_goes_on_exactly_and_foreign_state_is_refused() -> None:
    ours, other = twins()
    first = AdamW([Group(list(ours.parameters()), 1e-2, 0.1)])
    ours(torch.ones(3, 5)).sum().backward()
    first.step(1.0)
    other.load_state_dict(ours.state_dict())
    second = AdamW([Group(list(other.parameters()), 1e-2, 0.1)])
    second.load_state_dict(first.state_dict())
    for model, optimizer in ((ours, first), (other, second)):
        optimizer.zero_grad()
        model(torch.ones(3, 5)).sum().backward()
        optimizer.step(0.5)
    assert all(torch.equal(a, b) for a, b in zip(ours.parameters(), other.parameters(), strict=True))
    with pytest.raises(RunError, match="belongs to another model"):
        AdamW([Group([nn.Parameter(torch.ones(2))], 1e-2, 0.1)]).load_state_dict(first.state_dict())


def test_decay_is_for_matrices_only() -> None:
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 2), nn.LayerNorm(2))
    optimizer = build_optimizer(model, build("fixed", rooms=("weighting",)), TrainingSpec(weight_decay=0.3))
    decayed = [p for group in optimizer.groups if group.decay for p in group.parameters]
    assert [p.shape for p in decayed] == [(2, 3)]


def test_gradients_that_are_not_finite_are_not_applied() -> None:
    model = nn.Linear(2, 1)
    model(torch.ones(1, 2)).sum().backward()
    assert clip_gradients(model, 0.5)
    norm = torch.cat([p.grad.flatten() for p in model.parameters()]).norm()
    assert norm == pytest.approx(0.5)
    model.weight.grad[0, 0] = float("inf")
    assert not clip_gradients(model, 0.5)


def test_the_compiler_is_not_imported() -> None:
    code = (
        "import sys, torch; from torch import nn; from accord.training.optimizer import AdamW, Group;"
        "m = nn.Linear(2, 1); m(torch.ones(1, 2)).sum().backward();"
        "AdamW([Group(list(m.parameters()), 0.1, 0.0)]).step(1.0);"
        "print('torch._dynamo' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "False"
