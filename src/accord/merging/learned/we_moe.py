"""Merging some blocks by a mixture that a router chooses for every input."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from accord.errors import ConfigurationError, suggest
from accord.merging.learned.batches import Batches, call_watched, call_with, endless, logits_of
from accord.merging.learned.experts import Experts
from accord.merging.learned.learn import Lesson, learn
from accord.merging.learned.learned_merging import LearnedMerging, Merged, at_least
from accord.merging.learned.objectives import entropy
from accord.merging.learned.weight_ensemble import WeightEnsemble
from accord.method import Method


class WEMoE(LearnedMerging):
    """Merge most of the model by task arithmetic, and mix the task vectors of some blocks anew for every sample.

    Blocks are the MLPs of a transformer in the paper; here whatever modules ``blocks`` names, if their output for one
    sample depends on that sample's input alone and their parameters are merged ones. A router per block, shared by all
    tasks, is all that is learned, from the entropy of predictions on unlabelled batches. The task need not be known at
    inference, but for its head.

    Cost at inference: per sample and block ``n P`` products besides the block itself; memory: all task vectors of the
    blocks.

    Args:
        blocks: patterns of module names, e.g. ``"encoder.layers.*.mlp"``.
        scale: of the sum of task vectors outside the blocks, and what routers answer at first.
        steps: number of them.
        rate: of Adam, on a cosine schedule in the paper, constant here.
        chunk: samples whose weights are held at a time.

    Source: Tang et al., Merging Multi-Task Models via Weight-Ensembling Mixture of Experts, 2024: scale 0.3, 1,000
    steps of Adam 1e-4, batches of 16.
    """

    method: ClassVar[Method] = Method(
        title="WEMoE",
        paper="Merging Multi-Task Models via Weight-Ensembling Mixture of Experts",
        year=2024,
        url="https://arxiv.org/abs/2402.00433",
        needs="data",
        cost="steps x T forwards and backwards",
    )

    def __init__(
        self,
        blocks: Sequence[str] | str = "*mlp",
        scale: float = 0.3,
        steps: int = 1000,
        rate: float = 1e-4,
        chunk: int = 8,
    ) -> None:
        at_least("steps", steps, 1)
        at_least("chunk", chunk, 1)
        self.blocks = blocks
        self.scale = scale
        self.steps = steps
        self.rate = rate
        self.chunk = chunk

    def fit(self, experts: Experts, batches: Batches, generator: torch.Generator) -> Merged:
        held = {name: nn.Parameter(value) for name, value in experts.moved(self.scale).items()}
        modules = {task: experts.assemble(task, held).eval().requires_grad_(False) for task in experts.tasks}
        first = experts.tasks[0]
        widths = _widths(modules[first], self._names(modules[first]), next(endless(batches[first], first)))
        mixed = {name: self._upcycle(experts, modules[first], name, width, generator) for name, width in widths.items()}
        for module in modules.values():
            for name, ensemble in mixed.items():
                parent, _, last = name.rpartition(".")
                setattr(module.get_submodule(parent), last, ensemble)

        def loss(task: str, _: dict[str, Tensor], batch: Any) -> Tensor:
            return entropy(logits_of(call_with(modules[task], batch)))

        routers = [value for ensemble in mixed.values() for value in ensemble.router()]
        history = learn(Lesson(routers, dict, loss, experts.tasks, self.rate), batches, self.steps)
        outside = {n: v.data for n, v in held.items() if not any(n.startswith(f"{name}.") for name in mixed)}
        return Merged(modules, outside, history)

    def _names(self, module: nn.Module) -> list[str]:
        patterns = [self.blocks] if isinstance(self.blocks, str) else list(self.blocks)
        known = [name for name, _ in module.named_modules() if name]
        found = [name for name in known if any(fnmatchcase(name, pattern) for pattern in patterns)]
        if not found:
            raise ConfigurationError(f"no module is named like {patterns}. {suggest(patterns[0], known)}")
        inner = [name for name in found if any(name.startswith(f"{other}.") for other in found)]
        if inner:
            raise ConfigurationError(
                f"{inner[0]!r} lies inside another of the blocks that {patterns} names; choose one"
            )
        return found

    def _upcycle(
        self, experts: Experts, module: nn.Module, name: str, width: int, generator: torch.Generator
    ) -> WeightEnsemble:
        block = module.get_submodule(name)
        keys = [key for key, _ in block.named_parameters()]
        own = [key for key in keys if f"{name}.{key}" not in experts.base]
        if own or not keys:
            what = f"{name}.{own[0]} is not merged" if own else f"{name} has no parameters"
            raise ConfigurationError(f"{what}, so that there is nothing to route; name other blocks")
        base = {key: experts.base[f"{name}.{key}"] for key in keys}
        deltas = {key: experts.deltas[f"{name}.{key}"] for key in keys}
        return WeightEnsemble(block, base, deltas, width, self.scale, generator, self.chunk)


@torch.no_grad()
def _widths(module: nn.Module, names: Sequence[str], batch: Any) -> dict[str, int]:
    """Return the last dimension of each block's input."""
    widths: dict[str, int] = {}

    def watch(name: str) -> RemovableHandle:
        def note(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            widths[name] = inputs[0].shape[-1]

        return module.get_submodule(name).register_forward_pre_hook(note)

    hooks = [watch(name) for name in names]
    call_watched(module, [batch], hooks)
    missed = [name for name in names if name not in widths]
    if missed:
        raise ConfigurationError(f"the block {missed[0]!r} is not called by the model; name others")
    return widths
