"""The contract of methods that look at whole matrices."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, overload

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.merging_method import MergingMethod

Others = Literal["mean", "base"]


class Deltas(Sequence[Tensor]):
    """The task vectors of a matrix, ``[m, k]`` each in float64: made anew whenever one is asked for, never held."""

    def __init__(self, block: Block) -> None:
        self.block = block

    def __len__(self) -> int:
        return self.block.count

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        model = self.block.model(index)
        base = self.block.base()
        delta = model.to(torch.float64, copy=True).sub_(base)
        # Masks of -inf, or of NaN, in both are no difference.
        delta.masked_fill_((model == base) | (model.isnan() & base.isnan()), 0.0)
        if not torch.isfinite(delta).all():
            name = self.block.name
            raise ConfigurationError(
                f"the task vector of model {index} has numbers in {name} that are not finite, and a matrix with such "
                f"numbers has no singular vectors; mend that checkpoint, or give exclude=['{name}']"
            )
        return delta.view(self.block.shape)


class MatrixMethod(MergingMethod):
    """A method for the task vectors of matrices, which it sees whole and in float64, such as one by singular vectors.

    What is no matrix (biases, norms, convolutions), or is named by ``exclude``, is merged as ``others`` says, block by
    block as ever. A tensor in which all task vectors are 0 stays that of the base.

    Attributes:
        exclude: patterns of tensors that are treated as others though they are matrices, as ``"*embed*"``: rows of an
            embedding are looked up and never multiplied, so that their singular vectors mean little.
        others: ``"mean"``, the mean of the task vectors; or ``"base"``, nothing is added.
        scale: factor of every merged task vector.
    """

    exclude: Sequence[str]
    others: Others
    scale: float

    @abstractmethod
    def merge_matrices(self, deltas: Sequence[Tensor], found: Any) -> Tensor:
        """Return the merged task vector ``[m, k]``, unscaled.

        Args:
            deltas: the task vectors, ``[m, k]`` each, float64, finite and not all 0; new tensors whenever asked for.
            found: the survey's.
        """

    @abstractmethod
    def work(self, rows: int, columns: int, models: int) -> int:
        """Return how many numbers of 8 bytes :meth:`merge_matrices` holds at most, the task vectors among them."""

    def is_matrix(self, name: str, shape: tuple[int, ...]) -> bool:
        """Return whether a tensor is merged as a matrix."""
        return len(shape) == 2 and min(shape) > 1 and not any(fnmatchcase(name, pattern) for pattern in self.exclude)

    def combine(self, block: Block, found: Any) -> Tensor:
        merged = block.buffer("merged").zero_()
        if not self.is_matrix(block.name, block.shape):
            for index in range(block.count if self.others == "mean" else 0):
                merged.add_(block.delta(index), alpha=self.scale / block.count)
            return merged.add_(block.base())
        deltas = Deltas(block)
        if any(bool(delta.any()) for delta in deltas):
            merged.copy_(self.merge_matrices(deltas, found).reshape(-1)).mul_(self.scale)
        return merged.add_(block.base())


def check_others(others: str) -> None:
    """Raise a :class:`ConfigurationError` unless ``others`` says what to do with other tensors."""
    if others not in ("mean", "base"):
        raise ConfigurationError(f"others is 'mean' or 'base'; got {others!r}")
