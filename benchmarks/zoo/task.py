"""A classification task, in parts that no row is in twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Part = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Task:
    """Inputs ``[N, ...]`` and labels ``[N]`` of each part.

    ``base`` is what the base saw, where the zoo trains one, and ``train`` what the fine-tunings saw; methods with data
    see ``adapt``; options are chosen on ``validation`` and judged on ``test``.
    """

    name: str
    classes: int
    parts: dict[str, Part]


def batches(part: Part, size: int, generator: torch.Generator) -> Iterator[Part]:
    """Yield shuffled batches without end."""
    inputs, labels = part
    while True:
        order = torch.randperm(len(labels), generator=generator)
        for chosen in order[: len(order) // size * size].split(size):
            yield inputs[chosen], labels[chosen]
