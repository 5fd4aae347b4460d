"""The base, its fine-tunings, and the joint model they are compared with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from benchmarks.zoo.network import WIDTH, Encoder, network
from benchmarks.zoo.pictures import Pictures
from torch import Tensor, nn
from torch.nn import functional

BATCH, EPOCHS, BASE_EPOCHS = 128, 3, 3


@dataclass(frozen=True)
class Zoo:
    """Everything that was trained with one seed; the heads are the base's and stay as they are, as in CLIP's zoos."""

    base: nn.Module
    heads: dict[str, nn.Module]
    experts: dict[str, nn.Module]
    joint: nn.Module


def train(tasks: Sequence[Pictures], seed: int) -> Zoo:
    """Train a base on a part of its own of all tasks, then its fine-tunings and, with as many steps, a joint model."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        base, heads = Encoder(), {task.name: nn.Linear(WIDTH, task.classes) for task in tasks}
    generator = torch.Generator().manual_seed(seed)
    fit(base, heads, tasks, "base", BASE_EPOCHS, 2e-3, generator, train_heads=True)
    experts = {task.name: deepcopy(base) for task in tasks}
    for task in tasks:
        fit(experts[task.name], heads, [task], "train", EPOCHS, 2e-3, generator)
    joint = deepcopy(base)
    fit(joint, heads, tasks, "train", EPOCHS, 2e-3, generator)
    whole = {name: network(expert, heads[name]).eval() for name, expert in experts.items()}
    return Zoo(network(base, nn.Identity()).eval(), heads, whole, joint.eval())


def fit(
    encoder: nn.Module, heads: dict[str, nn.Module], tasks: Sequence[Pictures], part: str, epochs: int, rate: float,
    generator: torch.Generator, *, train_heads: bool = False,
) -> None:  # fmt: skip
    """Train with AdamW on a cosine schedule; batches of the tasks take turns."""
    rounds = max(len(task.parts[part][1]) for task in tasks) // BATCH * epochs
    own = [p for head in heads.values() for p in head.parameters()] if train_heads else []
    optimiser = torch.optim.AdamW([*encoder.parameters(), *own], lr=rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds * len(tasks))
    streams = {task.name: batches(*task.parts[part], generator) for task in tasks}
    for _ in range(rounds):
        for task in tasks:
            pictures, labels = next(streams[task.name])
            optimiser.zero_grad()
            functional.cross_entropy(heads[task.name](encoder(pictures)), labels).backward()
            nn.utils.clip_grad_norm_(encoder.parameters(), 1.0)
            optimiser.step()
            schedule.step()


def batches(pictures: Tensor, labels: Tensor, generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield shuffled batches without end."""
    while True:
        order = torch.randperm(len(labels), generator=generator)
        for chosen in order[: len(order) // BATCH * BATCH].split(BATCH):
            yield pictures[chosen], labels[chosen]


@torch.no_grad()
def accuracy(encoder: nn.Module, head: nn.Module, task: Pictures, part: str) -> float:
    """Return the share of right answers."""
    pictures, labels = task.parts[part]
    right = sum(
        int((head(encoder(x)).argmax(-1) == y).sum())
        for x, y in zip(pictures.split(500), labels.split(500), strict=True)
    )
    return right / len(labels)
