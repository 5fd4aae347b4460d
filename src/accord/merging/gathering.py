"""One task vector of several: added up, or only where signs agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block, Stack
from accord.merging.compiled import Delta, kernels
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


def gather_at_once(
    stretch: Block, merge: Merge, deltas: Sequence[Delta], scale: float, draw: float = 0.0
) -> Tensor | None:
    """Return the base plus ``scale`` times what :func:`gather` returns, as ``MergesAtOnce.at_once`` does.

    Args:
        stretch: of which the compiled loops read the numbers.
        merge: as above.
        deltas: what is done to each task vector before; their addresses are set here.
        scale: see above.
        draw: the sign of entries whose sum is exactly 0; see :func:`accord.merging.election.elect`.
    """
    loops, places = kernels(), stretch.addresses()
    if loops is None or not places:
        return None
    for delta, place in zip(deltas, places[1:], strict=True):
        delta.x = place
    result = stretch.buffer("result", torch.bfloat16)
    how = ("linear", "ties_sum", "ties").index(merge)
    return result if loops.agree(deltas, places[0], stretch.start, how, draw, scale, result) else None
