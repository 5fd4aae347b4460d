"""What the units of a network say of some inputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from accord.errors import ConfigurationError, DataError
from accord.merging.learned.batches import call_watched
from accord.merging.learned.experts import evaluating
from accord.merging.learned.features import part_of

# Modules whose units lie along the second axis of what they give out; along the last axis of these others.
SECOND = (
    *(nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, nn.GroupNorm),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d),
)
LAST = (nn.Linear, nn.LayerNorm, nn.Embedding)


@torch.no_grad()
def unit_activations(
    model: nn.Module, at: Iterable[str], batches: Iterable[Any], *, inputs: bool = False, every: int = 1
) -> dict[str, Tensor]:
    """Return activations ``[samples, units]`` by module, for :class:`ActivationMatching` and its kin.

    Units of convolutions and their norms are channels, and every place of an image is a sample; those of linear layers
    lie along the last axis, and every position of a sequence is a sample. With other modules an output of four axes and
    more counts as an image. The model runs in evaluation mode and is left as it was.

    Cost: a forward per batch; all activations are held in memory.

    Args:
        model: any module.
        at: names of modules inside it. Of :func:`traced_groups` and :func:`sequential_groups` these are the groups
            themselves: ``groups.sizes``.
        batches: see :class:`accord.merging.LearnedMerging`; the same for all networks that are compared.
        inputs: take what enters these modules, instead of what they give out. The units of a transformer's perceptron
            enter its last layer.
        every: keep one sample in so many, evenly spaced within each batch. Neighbouring places say much the same.

    Raises:
        ConfigurationError: there is no such module; the nearest is named.
        DataError: a module is not called, or works with something else than a tensor.
    """
    if every < 1:
        raise ConfigurationError(f"every is 1 or more; got {every}")
    seen: dict[str, list[Tensor]] = {name: [] for name in at}
    hooks = [_watch(part_of(model, name, "the model"), name, seen[name], inputs, every) for name in seen]
    with evaluating({"model": model}):
        call_watched(model, batches, hooks)
    for name, parts in seen.items():
        if not parts:
            raise DataError(f"the module {name!r} was never called: there are no batches, or the model does not use it")
    return {name: torch.cat(parts) for name, parts in seen.items()}


def _watch(part: nn.Module, name: str, seen: list[Tensor], inputs: bool, every: int) -> RemovableHandle:
    def note(module: nn.Module, entered: tuple[Any, ...], gave: Any) -> None:
        values = entered[0] if inputs and entered else gave
        if not isinstance(values, Tensor):
            raise DataError(f"the module {name!r} works with a {type(values).__name__}, not a tensor; name another")
        seen.append(_samples(module, values)[::every].detach().cpu())

    return part.register_forward_hook(note)


def _samples(module: nn.Module, values: Tensor) -> Tensor:
    image = isinstance(module, SECOND) or (values.ndim > 3 and not isinstance(module, LAST))
    return (values.movedim(1, -1) if image else values).flatten(0, -2)
