"""What some methods must know about a whole tensor, or the whole model, before they can merge its first element."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from accord.merging.block import Block


class Part(ABC):
    """What one pass over one tensor finds; one thread fills it, block by block in order."""

    @abstractmethod
    def look(self, block: Block) -> None:
        """Take a block into account."""


class Survey(ABC):
    """Passes over the checkpoints before the merge. Each fills parts, one per tensor, which are then taken together.

    Parts are taken in the order of the tensors' names, so what is found depends on no thread.

    Attributes:
        stride: the next pass looks at one run of elements in ``stride`` runs; 1 is everything.
        finished: no further pass is wanted.
        bytes: an upper bound of what its parts hold together, in bytes.
        column_bytes: what they hold besides for each place of a tensor's dimensions after the first.
        found: what :meth:`accord.merging.MergingMethod.combine` is then given.
    """

    stride: int = 1
    finished: bool = False
    bytes: int = 0
    column_bytes: int = 0
    found: Any = None

    @abstractmethod
    def part(self) -> Part:
        """Return an empty part for one tensor."""

    @abstractmethod
    def take(self, parts: Sequence[Part]) -> None:
        """End a pass."""
