"""What compiled loops can do for a long stretch in one call, without buffers for each model in between."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor

from accord.merging.block import Block


class MergesAtOnce(ABC):
    """A method that may merge a stretch at once, to the bits that its blocks would get."""

    @abstractmethod
    def at_once(self, stretch: Block, found: Any) -> Tensor | None:
        """Return merged elements ``[length]``, bfloat16 and finite, in the buffer ``"result"``.

        ``None`` where there are no compiled loops for it, or something is not finite, and its blocks must be merged.
        """


class LooksAtOnce(ABC):
    """A part of a survey that may look at a stretch at once, and finds what it would find in its blocks."""

    @abstractmethod
    def at_once(self, stretch: Block) -> bool:
        """Take a stretch into account; return ``False``, having done nothing, where its blocks must be looked at."""
