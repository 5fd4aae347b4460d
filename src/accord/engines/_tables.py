"""Embedding tables whose rows are looked up by samples of different tasks."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._layers import Layer, scaled_rows
from accord.engines._products import products
from accord.engines._samples import Rows

_MEAN, _MAX = 1, 2  # modes of an embedding bag


class Table(Layer):
    """An embedding table: of its gradients by task, only the rows that were looked up are ever formed.

    Args:
        indices: ``[L]`` rows looked up.
        gradient: ``[L, width]``, one row per look-up, zero for padding.
        tasks: the tasks of the L look-ups.
        size: number of rows of the table.
    """

    def __init__(self, indices: Tensor, gradient: Tensor, tasks: Rows, size: int) -> None:
        self.indices, self.gradient, self.tasks, self.size = indices, gradient, tasks, size

    @torch.no_grad()
    def gramian(self) -> Tensor:
        found, place = self.indices.unique(return_inverse=True)
        return products([self._summed(place, len(found)).flatten(1)], self.tasks.present())

    @torch.no_grad()
    def combine(self, weights: Tensor) -> Tensor:
        table = self.gradient.new_zeros(self.size, self.gradient.shape[1])
        scaled = scaled_rows(self.gradient, self.tasks.spread(weights)[:, None])
        return table.index_add_(0, self.indices, scaled).reshape(-1)

    @torch.no_grad()
    def jacobian(self) -> Tensor:
        return self._summed(self.indices, self.size).flatten(1)

    def held(self) -> int:
        return 0

    def _summed(self, place: Tensor, size: int) -> Tensor:
        count, width = len(self.tasks.sizes), self.gradient.shape[1]
        table = self.gradient.new_zeros((count + 1) * size, width)
        return table.index_add_(0, self.tasks.task * size + place, self.gradient).view(-1, size, width)[:count]


def table_of(node: Node, gradient: Tensor, tasks: Rows) -> Table | None:
    """Return the table that ``node`` looks up, ``None`` if it is something else or counts frequencies.

    Args:
        node: an operation.
        gradient: of its output.
        tasks: those of the slices of the output up to its sample axis.
    """
    name = node.name()
    if name not in ("EmbeddingBackward0", "EmbeddingBagBackward0"):
        return None
    if node._saved_scale_grad_by_freq or node._saved_sparse:  # pyright: ignore
        return None  # a sparse gradient is refused by name where it is met
    if name == "EmbeddingBackward0":
        indices = node._saved_indices.reshape(-1)  # pyright: ignore
        values = gradient.reshape(len(indices), -1)
        tasks = tasks.finer(len(indices) // len(tasks.task))
    else:
        if node._saved_mode == _MAX or node._saved_per_sample_weights is not None:  # pyright: ignore
            return None
        indices, bag = node._saved_indices, _bags(node)  # pyright: ignore
        values = gradient
        if node._saved_mode == _MEAN:  # pyright: ignore
            values = gradient / node._saved_result2.clamp_min(1)[:, None]  # pyright: ignore
        values = values.index_select(0, bag)
        tasks = tasks.take(bag)
    size, padding = int(node._saved_weight_sym_argsize_0), int(node._saved_padding_idx)  # pyright: ignore
    if 0 <= padding < size:
        values = values.masked_fill((indices == padding)[:, None], 0)
    return Table(indices, values, tasks, size)


def _bags(node: Node) -> Tensor:
    """Return the bag of each index; what the node itself saved of it is empty for some modes."""
    offsets, count = node._saved_offsets, len(node._saved_indices)  # pyright: ignore
    sizes = torch.diff(offsets, append=offsets.new_tensor([count]))
    return torch.arange(len(offsets), device=offsets.device).repeat_interleave(sizes)
