"""A zoo: a base, a fine-tuning per task, and the joint model they are compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import torch
from benchmarks.zoo.network import network
from benchmarks.zoo.task import Task, batches
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

Heads = Mapping[str, nn.Module]


@dataclass(frozen=True)
class Recipe:
    """How a fine-tuning is trained: AdamW on half a cosine, gradients clipped at norm 1."""

    epochs: int
    rate: float
    batch: int


@dataclass(frozen=True)
class Zoo:
    """Everything that was trained with one seed; the heads are the base's and stay as they are, as in CLIP's zoos.

    Attributes:
        factors: of the fine-tunings that are adapters, by task: the two of each layer, by PEFT's names of them.
    """

    base: nn.Module
    heads: Heads
    experts: Heads
    joint: nn.Module
    factors: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, trunk: nn.Module, heads: Heads) -> Zoo:
        """Return a zoo whose fine-tunings and joint trunk are still the base."""
        experts = {name: network(deepcopy(trunk), head).eval() for name, head in heads.items()}
        return cls(network(trunk, nn.Identity()).eval(), heads, experts, deepcopy(trunk).eval())

    def save(self, path: Path) -> None:
        """Write all weights into one file."""
        tensors = {name: value.detach().clone() for name, value in self._held().state_dict().items()}
        tensors |= {f"{task}/{name}": value for task, own in self.factors.items() for name, value in own.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)

    def load(self, path: Path) -> Zoo:
        """Fill this zoo with the weights of a file; heads come with the experts, which share them."""
        tensors = load_file(path)
        for key in [key for key in tensors if "/" in key]:
            task, name = key.split("/")
            self.factors.setdefault(task, {})[name] = tensors.pop(key)
        self._held().load_state_dict(tensors)
        return self

    def _held(self) -> nn.Module:
        return nn.ModuleDict({"base": self.base, "joint": self.joint, "experts": nn.ModuleDict(_plain(self.experts))})


def fine_tune(zoo: Zoo, tasks: Sequence[Task], recipe: Recipe, generator: torch.Generator) -> Zoo:
    """Train every expert on its task, and the joint trunk on all, with as many steps on each task."""
    for task in tasks:
        fit(zoo.experts[task.name].get_submodule("trunk"), zoo.heads, [task], "train", recipe, generator)
    fit(zoo.joint, zoo.heads, tasks, "train", recipe, generator)
    return zoo


def fit(
    trunk: nn.Module, heads: Heads, tasks: Sequence[Task], part: str, recipe: Recipe, generator: torch.Generator,
    *, train_heads: bool = False,
) -> None:  # fmt: skip
    """Train in place; batches of the tasks take turns."""
    rounds = max(len(task.parts[part][1]) for task in tasks) // recipe.batch * recipe.epochs
    weights = [p for p in trunk.parameters() if p.requires_grad] + [
        p for head in heads.values() for p in head.parameters() if train_heads
    ]
    optimiser = torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=0.01, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds * len(tasks))
    streams = {task.name: batches(task.parts[part], recipe.batch, generator) for task in tasks}
    trunk.train()
    for _ in range(rounds):
        for task in tasks:
            inputs, labels = next(streams[task.name])
            optimiser.zero_grad()
            functional.cross_entropy(heads[task.name](trunk(inputs)), labels).backward()
            nn.utils.clip_grad_norm_(trunk.parameters(), 1.0)
            optimiser.step()
            schedule.step()
    trunk.eval()


@torch.no_grad()
def accuracy(trunk: nn.Module, head: nn.Module, task: Task, part: str) -> float:
    """Return the share of right answers, in per cent."""
    inputs, labels = task.parts[part]
    right = sum(
        int((head(trunk(x)).argmax(-1) == y).sum()) for x, y in zip(inputs.split(250), labels.split(250), strict=True)
    )
    return 100 * right / len(labels)


def trunk_of(module: nn.Module) -> dict[str, Tensor]:
    """Return the weights that are merged, by their names in the whole model."""
    return {name: value.detach() for name, value in module.state_dict().items() if name.startswith("trunk.")}


def _plain(modules: Heads) -> dict[str, nn.Module]:
    return {name.replace(" ", "_"): module for name, module in modules.items()}
