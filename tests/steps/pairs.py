"""One small model with two tasks, in double precision."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn


class Pair(nn.Module):
    """A trunk and two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3), nn.Tanh())
        self.heads = nn.ModuleList([nn.Linear(3, 1), nn.Linear(3, 1)])

    def forward(self, x: Tensor) -> list[Tensor]:
        shared = self.trunk(x)
        return [head(shared).squeeze(1) for head in self.heads]


@dataclass
class Setting:
    """A model with its data."""

    model: Pair
    x: Tensor
    y: Tensor

    def losses(self) -> list[Tensor]:
        outputs = self.model(self.x)
        return [(outputs[0] - self.y[0]).square().mean(), (outputs[1] - self.y[1]).abs().exp().mean()]


def numbers(parameters: Iterable[Tensor]) -> Tensor:
    """All numbers of some parameters, in one vector."""
    return torch.cat([p.detach().flatten() for p in parameters])


def slopes(parameters: Iterable[Tensor]) -> Tensor:
    """All gradients of some parameters, in one vector."""
    return torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters])


def setting() -> Setting:
    """The same numbers each time, and without touching the global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Pair().double()
        x, y = torch.randn(7, 4, dtype=torch.float64), torch.randn(2, 7, dtype=torch.float64)
    return Setting(model, x, y)
