"""The contract of methods that look at whole matrices."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.merging_method import MergingMethod
from accord.merging.survey import Survey


class MatrixMethod(MergingMethod):
    """A method for the task vectors of matrices, which it sees whole and in float64, such as one by singular vectors.

    Tensors that are no matrices (biases, norms, convolutions), or that ``exclude`` names, get the mean of the task
    vectors, block by block as ever. A tensor in which all task vectors are 0 stays that of the base.

    Attributes:
        exclude: patterns of tensors that are averaged though they are matrices, as ``"*embed*"``: rows of an embedding
            are looked up and never multiplied, so that their singular vectors mean little.
        scale: factor of every merged task vector.
    """

    exclude: Sequence[str] = ()
    scale: float = 1.0

    @abstractmethod
    def merge_matrices(self, deltas: Sequence[Tensor]) -> Tensor:
        """Return the merged task vector ``[m, k]``, unscaled.

        Args:
            deltas: the task vectors, ``[m, k]`` each, float64, finite and not all 0. They may be overwritten.
        """

    @abstractmethod
    def work(self, rows: int, columns: int, models: int) -> int:
        """Return how many numbers of 8 bytes :meth:`merge_matrices` holds at most, the task vectors among them."""

    def is_matrix(self, name: str, shape: tuple[int, ...]) -> bool:
        """Return whether a tensor is merged as a matrix."""
        return len(shape) == 2 and min(shape) > 1 and not any(fnmatchcase(name, pattern) for pattern in self.exclude)

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return None

    def combine(self, block: Block, found: Any) -> Tensor:
        deltas = [block.delta(index) for index in range(block.count)]
        merged = block.buffer("merged").zero_()
        if not self.is_matrix(block.name, block.shape):
            for delta in deltas:
                merged.add_(delta, alpha=self.scale / block.count)
        elif any(bool(delta.any()) for delta in deltas):
            _check_finite(block.name, deltas)
            whole = [delta.view(block.shape).to(torch.float64, copy=True) for delta in deltas]
            merged.copy_(self.merge_matrices(whole).reshape(-1)).mul_(self.scale)
        return merged.add_(block.base())


def _check_finite(name: str, deltas: Sequence[Tensor]) -> None:
    for index, delta in enumerate(deltas):
        if not torch.isfinite(delta).all():
            raise ConfigurationError(
                f"the task vector of model {index} has numbers in {name} that are not finite, and a matrix with such "
                f"numbers has no singular vectors; mend that checkpoint, or average the tensor by exclude=['{name}']"
            )
