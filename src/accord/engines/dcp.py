"""Balancer state in checkpoints of ``torch.distributed.checkpoint``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from accord.errors import RunError

if TYPE_CHECKING:
    from torch.distributed.checkpoint.storage import StorageReader


def empty_like_saved(reader: StorageReader, name: str) -> dict[str, Tensor]:
    """Return empty tensors on the CPU for all that a sharded checkpoint holds under ``name``, to load it into.

    ``torch.distributed.checkpoint.load`` fills tensors that are there already, and a balancer that has seen no task yet
    has none of the right size. A state dict, on the other hand, it takes in any size::

        state = accord.engines.empty_like_saved(reader, "balancer")
        torch.distributed.checkpoint.load({"balancer": state}, storage_reader=reader)
        balancer.load_state_dict(state)

    Raises:
        RunError: the checkpoint has nothing under ``name``.
    """
    from torch.distributed.checkpoint.metadata import TensorStorageMetadata

    entries = reader.read_metadata().state_dict_metadata
    prefix = f"{name}."
    found = {
        key.removeprefix(prefix): torch.empty(entry.size, dtype=entry.properties.dtype)
        for key, entry in entries.items()
        if key.startswith(prefix) and isinstance(entry, TensorStorageMetadata)
    }
    if not found:
        known = sorted({key.split(".")[0] for key in entries})
        raise RunError(f"the checkpoint has no tensors under {name!r}; it holds: {', '.join(known) or 'nothing'}")
    return found
