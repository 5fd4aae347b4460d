"""Which samples an operation takes out of a batch, read off its node."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.graph import Node

_SELECTING = frozenset(("SliceBackward0", "SelectBackward0", "IndexBackward0", "IndexSelectBackward0"))
_CUTTING = frozenset(("SplitBackward0", "SplitWithSizesBackward0", "UnbindBackward0"))


def picked(node: Node) -> Tensor | None:
    """Return the places along axis 0 of its input that ``node`` selects, in order; ``None`` if it does something else.

    ``x[a:b:c]``, ``x[i]``, ``x[indices]``, ``x[mask]`` and ``x.index_select(0, indices)`` select.
    """
    name = node.name()
    if name not in _SELECTING:
        return None
    if name == "IndexBackward0":
        return _indexed(node)
    sizes = node._saved_self_sym_sizes  # pyright: ignore
    if signed(node._saved_dim) % len(sizes):  # pyright: ignore
        return None
    size = int(sizes[0])
    if name == "SelectBackward0":
        return torch.tensor([signed(node._saved_index) % size])  # pyright: ignore
    if name == "IndexSelectBackward0":
        return node._saved_index % size  # pyright: ignore
    inside = slice(signed(node._saved_start), signed(node._saved_end), int(node._saved_step))  # pyright: ignore
    return torch.arange(*inside.indices(size))


def cut(node: Node, port: int) -> range | None:
    """Return the places along axis 0 of its input that output ``port`` of ``node`` holds, if it cuts that axis."""
    if node.name() not in _CUTTING:
        return None
    if node.name() == "UnbindBackward0":
        return range(port, port + 1) if signed(node._saved_dim) == 0 else None  # pyright: ignore
    if signed(node._saved_dim) % len(node._input_metadata[0].shape):  # pyright: ignore
        return None
    sizes = [int(meta.shape[0]) for meta in node._input_metadata]
    return range(sum(sizes[:port]), sum(sizes[: port + 1]))


def signed(number: int) -> int:
    """Return a saved axis or place as it was given: negative ones come back from autograd as unsigned numbers."""
    return int(number) - 2**64 if number >= 2**63 else int(number)


def _indexed(node: Node) -> Tensor | None:
    first, *rest = node._saved_indices  # pyright: ignore
    if first is None or first.ndim != 1 or any(index is not None for index in rest):
        return None
    return first.nonzero().squeeze(1) if first.dtype == torch.bool else first % node._saved_self_sym_sizes[0]  # pyright: ignore
