"""The contract of methods that give every task its own model back, from one vector and one bit per weight."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.merging_method import MergingMethod


class Masked(MergingMethod):
    """A method whose result for a task is ``base + scale_i mask_i unified``.

    Called as any method, it gives the model of one task. :func:`accord.merging.compress` stores the vector and the
    masks of all tasks in files, from which :class:`accord.merging.TaskStore` restores any of them.

    Attributes:
        task: place of the model that comes back, from 0 on.
    """

    task: int

    @abstractmethod
    def unify(self, block: Block, found: Any) -> Tensor:
        """Return the vector that all tasks share, ``[length]``, in a buffer that no task vector lies in."""

    @abstractmethod
    def mask(self, block: Block, index: int, unified: Tensor) -> Tensor:
        """Return which entries ``[length]`` of the vector task ``index`` has."""

    @abstractmethod
    def scales(self, models: int, found: Any) -> list[float]:
        """Return one factor for each model; ``found`` is the survey's."""

    def combine(self, block: Block, found: Any) -> Tensor:
        if not 0 <= self.task < block.count:
            raise ConfigurationError(
                f"task is a place from 0 to {block.count - 1}, one of the models'; got {self.task}"
            )
        unified = self.unify(block, found)
        kept = unified.masked_fill_(~self.mask(block, self.task, unified), 0.0)
        return kept.mul_(self.scales(block.count, found)[self.task]).add_(block.base())
