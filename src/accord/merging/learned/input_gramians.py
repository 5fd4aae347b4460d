"""What enters every linear layer of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from accord.errors import DataError
from accord.merging.learned.batches import call_watched
from accord.merging.learned.experts import evaluating
from accord.merging.learned.statistics import Statistics


@torch.no_grad()
def input_gramians(model: nn.Module, batches: Iterable[Any], exclude: Sequence[str] = ()) -> Statistics:
    """Return ``mean(x x')`` ``[in, in]`` over all inputs ``x`` of every :class:`torch.nn.Linear`, by its weight's name.

    Positions of a sequence count one by one, padding among them. Layers that are never called are left out. Sums are
    float64.

    Cost: a forward per batch and ``in^2`` products per input; memory: ``in^2`` numbers per layer.

    Args:
        model: any module.
        batches: see :class:`accord.merging.LearnedMerging`.
        exclude: patterns of weights to leave out, e.g. ``head.*``.

    Raises:
        DataError: no linear layer saw an input.
    """
    sums: dict[str, Tensor] = {}
    counts: dict[str, int] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(_layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            rows = inputs[0].detach().flatten(0, -2).double()
            sums[name] = sums.get(name, torch.zeros(())) + rows.T @ rows
            counts[name] = counts.get(name, 0) + len(rows)

        return note

    linear = {
        f"{name}.weight" if name else "weight": layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
    }
    wanted = {name: layer for name, layer in linear.items() if not any(fnmatchcase(name, p) for p in exclude)}
    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in wanted.items()]
    with evaluating({"model": model}):
        call_watched(model, batches, hooks)
    if not sums:
        raise DataError(
            "no linear layer of the model saw an input: it has none, all are excluded, or there are no batches"
        )
    return Statistics("gramian", max(counts.values()), {name: total / counts[name] for name, total in sums.items()})
