"""One task vector of several: added up, or only where signs agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block, Stack
from accord.merging.election import elect, total

Merge = Literal["linear", "ties", "ties_sum"]


def check_merge(merge: str) -> None:
    """Raise a :class:`ConfigurationError` unless ``merge`` is one of these ways."""
    if merge not in ("linear", "ties", "ties_sum"):
        raise ConfigurationError(f"merge is 'linear', 'ties' or 'ties_sum'; got {merge!r}")


def gather(block: Block, deltas: Stack, merge: Merge, weights: Sequence[float]) -> Tensor:
    """Return the merged task vector ``[length]``, in a buffer.

    Args:
        block: whose buffers are used.
        deltas: task vectors ``[n, length]``, already multiplied by ``weights``.
        merge: their sum; or the mean, or sum, of those that agree with the elected sign.
        weights: what the deltas were multiplied by.
    """
    if merge == "linear":
        return total(deltas.rows, block.buffer("merged"))
    return elect(block, deltas, "mean" if merge == "ties" else "sum", weights)
