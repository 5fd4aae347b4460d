"""A model with a trunk and one head per task, and batches that are split unevenly over processes."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

TASKS = ("a", "b", "c")


class Model(nn.Module):
    """Trunk and heads; the last two tasks share a piece of their heads."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.trunk = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3), nn.Tanh())
            self.heads = nn.ModuleDict({task: nn.Linear(3, 1) for task in TASKS})
            self.piece = nn.Linear(3, 3)
        self.double()

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        h = self.trunk(x)
        inputs = {"a": h, "b": self.piece(h), "c": self.piece(h).tanh()}
        return {task: head(inputs[task]) for task, head in self.heads.items()}

    def shared(self) -> list[nn.Parameter]:
        return list(self.trunk.parameters())

    def others(self) -> list[nn.Parameter]:
        return [*self.heads.parameters(), *self.piece.parameters()]


def twin(model: Model) -> Model:
    return copy.deepcopy(model)


def batch(step: int, rows: int = 24) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Inputs ``[N, 5]``, a target per task, and which rows have a label of it; the tasks pull apart."""
    generator = torch.Generator().manual_seed(100 + step)
    x = torch.randn(rows, 5, generator=generator, dtype=torch.float64)
    noise = torch.randn(3, rows, generator=generator, dtype=torch.float64)
    y = {"a": x[:, 0] + noise[0], "b": 3 * x[:, 1] - x[:, 0] + noise[1], "c": -2 * x[:, 0] + noise[2] / 2}
    seen = {task: torch.rand(rows, generator=generator) < 0.8 for task in TASKS}
    return x, y, seen


def part(step: int, rank: int, size: int, absent: str | None = None):
    """This process's rows: the first process has most of them, and no label of ``absent``."""
    x, y, seen = batch(step)
    edges = torch.linspace(0, 1, size + 1).sqrt().mul(len(x)).round().int().tolist()
    rows = slice(edges[rank], edges[rank + 1])
    if absent is not None and rank == 0:
        seen = {**seen, absent: torch.zeros_like(seen[absent])}
    return x[rows], {t: v[rows] for t, v in y.items()}, {t: v[rows] for t, v in seen.items()}


def whole(step: int, size: int, absent: str | None = None):
    """The rows of all processes, in order."""
    parts = [part(step, rank, size, absent) for rank in range(size)]
    return (
        torch.cat([x for x, _, _ in parts]),
        {t: torch.cat([y[t] for _, y, _ in parts]) for t in TASKS},
        {t: torch.cat([s[t] for _, _, s in parts]) for t in TASKS},
    )


def losses_of(outputs: dict[str, Tensor], y: dict[str, Tensor], seen: dict[str, Tensor]) -> dict[str, Tensor]:
    """The mean squared error of each task over its labelled rows; NaN where there are none."""
    return {t: (outputs[t][seen[t], 0] - y[t][seen[t]]).square().mean() for t in TASKS}


def numbers(seen: dict[str, Tensor]) -> dict[str, float]:
    return {task: float(rows.sum()) for task, rows in seen.items()}
