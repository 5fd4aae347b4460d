"""One task vector of several: added up, or only where signs agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.election import elect

Merge = Literal["linear", "ties", "ties_sum"]


def check_merge(merge: str) -> None:
    """Raise a :class:`ConfigurationError` unless ``merge`` is one of these ways."""
    if merge not in ("linear", "ties", "ties_sum"):
        raise ConfigurationError(f"merge is 'linear', 'ties' or 'ties_sum'; got {merge!r}")


def gather(block: Block, deltas: Sequence[Tensor], merge: Merge, weights: Sequence[float]) -> Tensor:
    """Return the merged task vector ``[length]``, in a buffer.

    Args:
        block: whose buffers are used.
        deltas: task vectors ``[length]``, already multiplied by ``weights``.
        merge: their sum; or the mean, or sum, of those that agree with the elected sign.
        weights: what the deltas were multiplied by.
    """
    if merge != "linear":
        return elect(block, deltas, "mean" if merge == "ties" else "sum", weights)
    merged = block.buffer("merged").copy_(deltas[0])
    for delta in deltas[1:]:
        merged.add_(delta)
    return merged
