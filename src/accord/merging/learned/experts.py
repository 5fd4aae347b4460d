"""Fine-tuned modules around one base: what they share, how it differs, and how each runs on merged weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from accord.errors import ConfigurationError, DataError
from accord.merging.learned.batches import call_with

State = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Experts:
    """One module per task, all fine-tuned from one base.

    Attributes:
        modules: the fine-tuned module of each task, with its own head; never changed.
        base: the base's parameters that are merged, by name.
        deltas: the task vectors by name, ``[n, *shape]``, in the order of ``modules``.
        buffers: floating-point buffers that all experts share, averaged: statistics of batch normalisation.
        own: all parameters of each expert, detached, so that learning leaves no gradient in them.
    """

    modules: Mapping[str, nn.Module]
    base: dict[str, Tensor]
    deltas: dict[str, Tensor]
    buffers: dict[str, Tensor]
    own: Mapping[str, dict[str, Tensor]]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks, in order."""
        return list(self.modules)

    def moved(self, scales: Tensor | float) -> dict[str, Tensor]:
        """Return ``base + sum_i scales_i delta_i``; ``scales`` is a number, ``[n]``, or ``[n, tensors]``."""
        count = len(self.modules)
        wide = torch.as_tensor(scales, dtype=torch.get_default_dtype())
        wide = wide.reshape(-1, 1) if wide.dim() < 2 else wide
        wide = wide.expand(count, len(self.base))
        return {
            name: base + torch.tensordot(wide[:, place].to(base), self.deltas[name], dims=1)
            for place, (name, base) in enumerate(self.base.items())
        }

    def run(self, task: str, state: State, batch: Any) -> Any:
        """Return what the expert of ``task`` gives for a batch with ``state`` in place of its merged weights."""
        tensors = {**self.own[task], **self.buffers, **state}
        return call_with(lambda *args, **named: functional_call(self.modules[task], tensors, args, named), batch)

    def assemble(self, task: str, state: State) -> nn.Module:
        """Return a copy of the task's expert on ``state``, whose tensors it holds as they are, not copied."""
        shared = {**self.buffers, **state}
        module = self.modules[task]
        kept = {id(old): _alike(old, shared[name]) for name, old in tensors_of(module) if name in shared}
        return deepcopy(module, kept)


def gather(base: nn.Module | State, experts: Mapping[str, nn.Module], keep: Sequence[str] = ()) -> Experts:
    """Find what a base and its fine-tunings share.

    Merged is every floating-point parameter of the base that all experts have; what only experts have, as heads, stays
    theirs.

    Args:
        base: the module, or its state, that all experts were fine-tuned from.
        experts: task to fine-tuned module.
        keep: patterns (``head.*``) of parameters that stay each expert's own although the base has them.

    Raises:
        ConfigurationError: fewer than one expert, or something that is no module; or nothing to merge.
        DataError: an expert lacks a parameter of the base or has it in another shape; it is named.
    """
    if not isinstance(experts, Mapping) or not experts:
        raise ConfigurationError("experts must map at least one task to its fine-tuned module")
    for task, module in experts.items():
        if not isinstance(module, nn.Module):
            raise ConfigurationError(f"the expert of {task!r} is a {type(module).__name__}, not a torch.nn.Module")
    known = dict(base.named_parameters()) if isinstance(base, nn.Module) else dict(base)
    own = {task: dict(module.named_parameters()) for task, module in experts.items()}
    names = [name for name, value in known.items() if _merges(name, value, own, keep)]
    if not names:
        raise ConfigurationError(f"nothing is left to merge: keep={list(keep)} covers all {len(known)} parameters")
    start = {name: known[name].detach().clone() for name in names}
    deltas = {
        name: torch.stack([_fit(own[task], name, value, task).detach().to(value) - value for task in experts])
        for name, value in start.items()
    }
    detached = {task: {name: value.detach() for name, value in parameters.items()} for task, parameters in own.items()}
    return Experts(dict(experts), start, deltas, _averages(experts), detached)


def tensors_of(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield parameters and buffers by name, shared ones once."""
    yield from module.named_parameters()
    yield from module.named_buffers()


@contextmanager
def evaluating(modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Run modules without dropout and with stored statistics, and leave every part in the mode it was in."""
    modes = [(part, part.training) for module in modules.values() for part in module.modules()]
    try:
        for module in modules.values():
            module.eval()
        yield
    finally:
        for part, training in modes:
            part.training = training


def _merges(name: str, value: Tensor, own: Mapping[str, Mapping[str, Tensor]], keep: Sequence[str]) -> bool:
    if not value.is_floating_point() or any(fnmatchcase(name, pattern) for pattern in keep):
        return False
    # A state holds buffers too; no expert has those among its parameters, and they are averaged.
    return any(name in parameters for parameters in own.values())


def _fit(parameters: Mapping[str, Tensor], name: str, value: Tensor, task: str) -> Tensor:
    if name not in parameters:
        raise DataError(f"the expert of {task!r} has no parameter {name!r}; name it in keep= to leave it to its owners")
    if parameters[name].shape != value.shape:
        raise DataError(
            f"{name!r} is {list(parameters[name].shape)} in the expert of {task!r} and {list(value.shape)} in the "
            "base; name it in keep= to leave each its own"
        )
    return parameters[name]


def _averages(experts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    first, *others = [{n: b for n, b in m.named_buffers() if b.is_floating_point()} for m in experts.values()]
    common = [n for n in first if all(n in other and other[n].shape == first[n].shape for other in others)]
    return {n: torch.stack([first[n], *(other[n].to(first[n]) for other in others)]).mean(dim=0) for n in common}


def _alike(old: Tensor, new: Tensor) -> Tensor:
    if not isinstance(old, nn.Parameter):
        return new.detach()
    return new if isinstance(new, nn.Parameter) else nn.Parameter(new.detach(), old.requires_grad)
