"""Read off the gradients that leave the heads which task each sample of a batch belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from accord.engines._layout import INSTEAD, closed
from accord.engines._picks import cut, picked
from accord.engines._samples import Samples
from accord.engines._split import Port, Split
from accord.errors import ConfigurationError


@dataclass(slots=True)
class _Place:
    """Gradients that arrive at one tensor of the trunk, as rows of it."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    device: torch.device
    tasks: list[int] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    def add(self, task: int, rows: Tensor | None, gradient: Tensor) -> None:
        # A scalar has no samples, which is said once all places are known.
        values = gradient.reshape((*self.shape, 1)[0] if rows is None else len(rows), -1)
        if rows is None:
            rows = (values != 0).any(1).nonzero().squeeze(1)
            values = values.index_select(0, rows)
        self.tasks.append(task)
        self.rows.append(rows.to(self.device))
        self.values.append(values)


def assign(parts: Split, names: Sequence[str]) -> tuple[Samples, list[tuple[GradientEdge, Tensor]]]:
    """Return the samples, and at each place where the trunk begins one gradient that carries all tasks.

    A sample belongs to the task whose gradient there is not zero. Gradients that enter through a selection of samples
    are never spread over the whole batch first, and those of a vector of losses, one per sample, need no backward each.

    Raises:
        ConfigurationError: a sample is used by two tasks; both are named. Or samples cannot be told apart at all.
    """
    places = _places(parts)
    count = min((place.shape[0] if place.shape else 1 for place in places.values()), default=1)
    for (node, _), place in places.items():
        # Several outputs of a compiled module are not parts of one batch, whatever their shapes.
        if (reason := closed(node)) is not None:
            raise ConfigurationError(reason)
        if not place.shape or place.shape[0] % count:
            raise ConfigurationError(
                f"a tensor of shape {list(place.shape)} that the heads read has no axis of {count} samples first: "
                f"{INSTEAD}"
            )
    device = next((place.device for place in places.values()), None)
    owner = torch.full((count,), len(names), dtype=torch.long, device=device)
    merged = [(GradientEdge(*port), _merge(place, owner, names)) for port, place in places.items()]
    return Samples(owner, len(names)), merged


def _places(parts: Split) -> dict[Port, _Place]:
    places: dict[Port, _Place] = {}
    for u, edge in enumerate(parts.border):
        inside = cut(edge.node, edge.output_nr)
        port = (edge.node, edge.output_nr) if inside is None else edge.node.next_functions[0]
        rows = None if inside is None else torch.arange(inside.start, inside.stop)
        for task, cotangents in enumerate(parts.cotangents):
            gradient = cotangents[u]
            if gradient is not None:
                _place(places, port).add(task, rows, gradient)
    for pick in parts.picks:
        _place(places, pick.node.next_functions[0]).add(pick.task, picked(pick.node), pick.gradient)
    return places


def _place(places: dict[Port, _Place], port: tuple[Node | None, int]) -> _Place:
    node, output = port
    assert node is not None  # what needs no gradient is not selected from
    if (node, output) not in places:
        meta = node._input_metadata[output]
        places[node, output] = _Place(tuple(int(size) for size in meta.shape), meta.dtype, meta.device)
    return places[node, output]


def _merge(place: _Place, owner: Tensor, names: Sequence[str]) -> Tensor:
    """Return one gradient with all tasks' rows, and note in ``owner`` whose they are."""
    rows, values = torch.cat(place.rows), torch.cat(place.values)
    sizes = torch.tensor([len(part) for part in place.rows])
    task = torch.tensor(place.tasks).repeat_interleave(sizes).to(owner.device)
    used = (values != 0).any(1)
    _claim(owner, rows[used] // (place.shape[0] // len(owner)), task[used], names)
    whole = torch.zeros(place.shape, dtype=place.dtype, device=place.device)
    whole.view(place.shape[0], -1).index_add_(0, rows, values.to(place.dtype))
    return whole


def _claim(owner: Tensor, sample: Tensor, task: Tensor, names: Sequence[str]) -> None:
    nobody, before = len(names), owner[sample]
    owner[sample] = task
    after = owner[sample]
    clash = ((before != nobody) & (before != task)) | (after != task)
    if bool(clash.any()):
        first = int(clash.nonzero()[0])
        other = int(after[first]) if int(after[first]) != int(task[first]) else int(before[first])
        both = sorted({int(task[first]), other})
        raise ConfigurationError(
            f"sample {int(sample[first])} of the batch belongs to the tasks {names[both[0]]!r} and {names[both[1]]!r}; "
            f'engine="grouped" is for samples that belong to one task each: {INSTEAD}'
        )
