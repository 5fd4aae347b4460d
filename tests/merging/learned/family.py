"""Real fine-tunings to merge: one base, a task per quarter of the plane, heads of their own."""

from __future__ import annotations

from collections import OrderedDict
from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

TASKS = ("left", "right", "up")
WIDTH = 12


@dataclass(frozen=True)
class Family:
    base: nn.Module
    experts: dict[str, nn.Module]
    batches: dict[str, list[tuple[Tensor, Tensor]]]


def network(seed: int, classes: int = 3) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    mlp = nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH))
    trunk = nn.Sequential(OrderedDict(stem=nn.Linear(4, WIDTH), act=nn.ReLU(), mlp=mlp))
    model = nn.Sequential(OrderedDict(trunk=trunk, head=nn.Linear(WIDTH, classes)))
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.4, generator=generator)
    return model


def samples(task: int, seed: int, count: int = 48) -> tuple[Tensor, Tensor]:
    """Three classes around centres that differ from task to task."""
    centres = torch.randn(3, 4, generator=torch.Generator().manual_seed(100 + task)) * 2
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count,), generator=generator)
    return centres[labels] + 0.5 * torch.randn(count, 4, generator=generator), labels


@cache
def family() -> Family:
    """Fine-tuned once; callers must not change it."""
    base, experts, batches = network(0), {}, {}
    for place, task in enumerate(TASKS):
        expert = deepcopy(base)
        expert.head.load_state_dict(network(place + 1).head.state_dict())
        batches[task] = [samples(place, 10 * place + seed) for seed in range(3)]
        optimiser = torch.optim.Adam(expert.parameters(), lr=1e-2)
        for step in range(60):
            inputs, labels = batches[task][step % 3]
            optimiser.zero_grad()
            functional.cross_entropy(expert(inputs), labels).backward()
            optimiser.step()
        optimiser.zero_grad()
        experts[task] = expert.train()
    trunk = nn.Sequential(OrderedDict(trunk=base.trunk))
    return Family(trunk, experts, batches)


def merged_by_hand(scales: Tensor) -> dict[str, Tensor]:
    """``base + sum_i scales[i, l] tau_i`` from plain state dictionaries."""
    known = family()
    base = known.base.state_dict()
    states = [expert.state_dict() for expert in known.experts.values()]
    return {
        name: value + sum(scales[i, place] * (state[name] - value) for i, state in enumerate(states))
        for place, (name, value) in enumerate(base.items())
    }


def with_trunk(task: str, state: dict[str, Tensor]) -> nn.Module:
    """The expert with other weights in its trunk, by loading them."""
    module = deepcopy(family().experts[task]).eval()
    module.load_state_dict({**module.state_dict(), **state})
    return module


def summed_entropy(scales: Tensor, batch: int = 0) -> float:
    """The objective of AdaMerging, worked out in float64 from whole modules."""
    total = 0.0
    for task in TASKS:
        probabilities = (
            with_trunk(task, merged_by_hand(scales)).double()(family().batches[task][batch][0].double()).softmax(dim=-1)
        )
        probabilities = probabilities.detach()
        total += float(-(probabilities * probabilities.clamp(min=1e-300).log()).sum(dim=-1).mean())
    return total
