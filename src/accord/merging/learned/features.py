"""What a module inside another gives out, and how to put something behind it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError, DataError, suggest
from accord.merging.learned.batches import call_watched


def part_of(module: nn.Module, at: str, owner: str) -> nn.Module:
    """Return the module named ``at`` inside another, which messages call ``owner``.

    Raises:
        ConfigurationError: there is none; the message suggests the nearest.
    """
    known = {name: part for name, part in module.named_modules() if name}
    if at not in known:
        raise ConfigurationError(f"{owner} has no module {at!r}. {suggest(at, known)}")
    return known[at]


def features(module: nn.Module, at: str, batch: Any, task: str) -> Tensor:
    """Return what the module ``at`` gives out for a batch; with several calls the last.

    Raises:
        DataError: it was not called, or gives out something else than a tensor.
    """
    seen: list[Any] = []
    part = part_of(module, at, f"the expert of {task!r}")
    hook = part.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    call_watched(module, [batch], [hook])
    if not seen or not isinstance(seen[-1], Tensor):
        what = f"gives out a {type(seen[-1]).__name__}, not a tensor" if seen else "was not called"
        raise DataError(f"the module {at!r} of {task!r} {what}; name one that gives out the representation")
    return seen[-1]


def append(module: nn.Module, at: str, extra: nn.Module) -> None:
    """Put ``extra`` behind the module ``at``."""
    parent, _, name = at.rpartition(".")
    setattr(module.get_submodule(parent), name, nn.Sequential(module.get_submodule(at), extra))


@torch.no_grad()
def width_of(module: nn.Module, at: str, batch: Any, task: str) -> int:
    """Return the size of the last dimension of a representation."""
    return features(module, at, batch, task).shape[-1]
