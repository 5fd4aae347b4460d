"""Gramians at a representation that narrow linear heads read: the short way finds what the long one finds."""

import pytest
import torch
from torch import nn

import accord
from accord.aggregation import UPGrad
from accord.engines import _linear_heads, representation

WAYS = {
    "bias": lambda: nn.Linear(12, 2),
    "no bias": lambda: nn.Linear(12, 2, bias=False),
    "deep": lambda: nn.Sequential(nn.Linear(12, 2), nn.Tanh(), nn.Linear(2, 3)),
}


def step(kind: str, missing: int | None = None, scale: float = 1.0) -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    torch.manual_seed(4)
    trunk = nn.Sequential(nn.Linear(5, 12), nn.Tanh())
    heads = nn.ModuleList(WAYS[kind]() for _ in range(4))
    features = trunk(torch.randn(9, 5))
    losses = [None if i == missing else (head(features) - i).pow(2).mean() * scale for i, head in enumerate(heads)]
    gramian = accord.gramian(losses, trunk.parameters(), engine="representation")
    at = accord.gramian(losses, [features], engine="loop")
    torch.testing.assert_close(gramian, at, rtol=1e-5, atol=1e-6 * float(at.max()))
    accord.backward(losses, trunk.parameters(), UPGrad(), engine="representation")
    return gramian, [p.grad for p in (*trunk.parameters(), *heads.parameters())]


@pytest.mark.parametrize("missing", [None, 2])
@pytest.mark.parametrize("kind", WAYS)
def test_both_ways_find_the_same(kind, missing, monkeypatch):
    taken = []
    monkeypatch.setattr(
        representation,
        "linear_heads",
        lambda problem: taken.append(_linear_heads.linear_heads(problem)) or taken[-1],
    )
    short = step(kind, missing)
    assert all(found is not None for found in taken)
    monkeypatch.setattr(representation, "linear_heads", lambda _: None)
    torch.testing.assert_close(short, step(kind, missing), rtol=1e-5, atol=1e-7)


def test_gradients_out_of_the_range_of_squares_take_the_long_way():
    gramian, gradients = step("bias", scale=1e-18)
    assert (gramian.diagonal() > 0).all()
    assert all(gradient.any() for gradient in gradients)


def refused(losses: list[torch.Tensor], shared: list[nn.Parameter], monkeypatch) -> bool:
    taken = []
    monkeypatch.setattr(
        representation,
        "linear_heads",
        lambda problem: taken.append(_linear_heads.linear_heads(problem)) or taken[-1],
    )
    found = accord.gramian(losses, shared, engine="representation")
    assert found.diagonal().all()
    return taken == [None]


def test_wide_heads_and_heads_that_read_elsewhere_take_the_long_way(monkeypatch):
    trunk = nn.Linear(5, 6)
    features = trunk(torch.randn(3, 5))
    wide = [nn.Linear(6, 60)(features).pow(2).mean() for _ in range(2)]
    assert refused(wide, list(trunk.parameters()), monkeypatch)
    others = [nn.Linear(6, 1)(torch.relu(features)).pow(2).mean() for _ in range(3)]
    assert refused(others, list(trunk.parameters()), monkeypatch)
