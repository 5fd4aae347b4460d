"""All directions of the sum of task vectors, equally strong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from accord.merging.matrix_method import MatrixMethod, Others, check_others
from accord.merging.spectra import svd, svd_work
from accord.method import Method


class IsoC(MatrixMethod):
    """Replace all singular values of the summed task vectors by their mean, so that no task's directions dominate.

    For a matrix ``sum_i tau_i = U diag(S) V^T`` the merged task vector is ``mean(S) U V^T``. Other tensors are
    averaged.

    Cost: one singular value decomposition per matrix, which is held whole.

    Args:
        scale: factor of the merged task vector, the mean of other tensors included. The paper looks for it on
            validation data; about 1 to 1.5.
        exclude: patterns of matrices that are treated as other tensors.
        others: what becomes of other tensors: ``"mean"`` as in the paper, or ``"base"``.

    Directions whose singular value is 0 (below 1e-7 of the largest) are left out, though the mean is over all: their
    vectors are arbitrary, and the authors' code gives them the same strength.

    Source: Marczak et al., No Task Left Behind: Isotropic Model Merging with Common and Task-Specific Subspaces, 2025.
    """

    method: ClassVar[Method] = Method(
        title="Iso-C",
        paper="No Task Left Behind: Isotropic Model Merging with Common and Task-Specific Subspaces",
        year=2025,
        url="https://arxiv.org/abs/2502.04959",
        needs="parameters",
        cost="1 singular value decomposition per matrix",
    )

    def __init__(self, scale: float = 1.0, exclude: Sequence[str] = (), others: Others = "mean") -> None:
        check_others(others)
        self.scale = scale
        self.exclude = exclude
        self.others: Others = others

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def merge_matrices(self, deltas: Sequence[Tensor], found: Any) -> Tensor:
        total = add(deltas)
        left, values, right = svd(total)
        return (left @ right).mul_(values.sum() / min(total.shape))

    def work(self, rows: int, columns: int, models: int) -> int:
        return 3 * rows * columns + svd_work(rows, columns)


def add(deltas: Sequence[Tensor]) -> Tensor:
    """Return the sum of task vectors, holding two of them at a time."""
    total = torch.zeros_like(deltas[0])
    for index in range(len(deltas)):
        total.add_(deltas[index])
    return total
