"""Merging of state dictionaries and modules."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.merging.align import align
from accord.merging.engine import Engine
from accord.merging.entry import Entry, Rules
from accord.merging.layer_pruning import LayerPruning
from accord.merging.merging_method import MergingMethod, Weights


class NonFiniteMergeWarning(UserWarning):
    """A merged tensor holds numbers that are not finite, in places where the checkpoints differ."""


class Tensors:
    """Results as a dictionary of new tensors."""

    def __init__(self, entries: Sequence[Entry], device: torch.device) -> None:
        self.held = {e.name: torch.empty(e.shape, dtype=e.dtype, device=device) for e in entries if not e.tied}

    def put(self, entry: Entry, start: int, values: Tensor) -> None:
        """Store ``values`` at ``start`` of the flattened tensor."""
        self.held[entry.name].view(-1)[start : start + len(values)] = values


@torch.no_grad()
def merge_in_memory(
    method: MergingMethod,
    base: Weights | None,
    models: Sequence[Weights],
    rules: Rules | None,
    pruning: LayerPruning | None = None,
) -> dict[str, Tensor]:
    """Merge into a dictionary, pruned before if so wanted; see :meth:`MergingMethod.__call__`."""
    engine = _engine()
    entries = _aligned(method, base, models, rules)
    if pruning is not None:
        entries = pruning.prune(entries, pruning.rank(entries, engine))
    sink = Tensors(entries, entries[0].models[0].device if entries else torch.device("cpu"))
    engine.merge([entry for entry in entries if not entry.tied], sink, engine.survey(entries))
    return {entry.name: sink.held[entry.tied or entry.name] for entry in entries}


@torch.no_grad()
def prune_in_memory(
    pruning: LayerPruning, base: Weights | None, models: Sequence[Weights], rules: Rules | None
) -> list[dict[str, Tensor]]:
    """Prune and merge nothing; see :meth:`LayerPruning.pruned`."""
    whole = _aligned(pruning.merge, base, models, rules)
    entries = pruning.prune(whole, pruning.rank(whole, _engine()))
    return [{entry.name: entry.models[place].reshape(entry.shape) for entry in entries} for place in range(len(models))]


def _engine() -> Engine:
    return Engine(threads=os.cpu_count() or 1, notice=warn_not_finite)


def _aligned(
    method: MergingMethod, base: Weights | None, models: Sequence[Weights], rules: Rules | None
) -> Sequence[Entry]:
    if isinstance(models, Mapping | nn.Module):
        raise ConfigurationError(f"{type(method).__name__} takes a list of models; got one {type(models).__name__}")
    if not models:
        raise ConfigurationError(f"{type(method).__name__} was given no model to merge")
    origin = None if base is None else _state(base)
    return align(method, origin, [_state(model) for model in models], rules or Rules())


def warn_not_finite(name: str, count: int) -> None:
    """Tell of ``count`` numbers of the tensor ``name`` that are not finite."""
    warnings.warn(
        f"{count} merged numbers of {name} are not finite: a checkpoint has such numbers there, or they overflow what "
        "the result is stored as",
        NonFiniteMergeWarning,
        stacklevel=2,
    )


def _state(weights: Weights) -> Mapping[str, Tensor]:
    return weights.state_dict() if isinstance(weights, nn.Module) else weights
