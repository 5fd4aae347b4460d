"""The common directions of all tasks and the leading ones of each, equally strong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.iso_c import add
from accord.merging.matrix_method import MatrixMethod, Others, check_others
from accord.merging.spectra import polar, svd, svd_work
from accord.method import Method


class IsoCTS(MatrixMethod):
    """Give part of a matrix's rank to the common directions and the rest to each task's own, all equally strong.

    Of a matrix of rank ``r`` the first ``common r`` singular triplets of the summed task vectors are kept. The task
    vectors are projected off these left vectors, and the first triplets of each fill the rest, as many for each. Left
    and right vectors are replaced by the nearest matrices with orthonormal columns, and all singular values by their
    mean. Other tensors are averaged.

    Cost: ``n + 3`` singular value decompositions per matrix, which is held whole.

    Args:
        common: share of the rank for common directions; 0.8 in the paper. What is left is rounded to a multiple of
            ``n``; with more tasks than it has room for, this is Iso-C.
        scale: factor of the merged task vector, the mean of other tensors included.
        exclude: patterns of matrices that are treated as other tensors.
        others: what becomes of other tensors: ``"mean"`` as in the paper, or ``"base"``.

    Directions whose singular value is 0 are left out, though the mean is over the whole rank; see :class:`IsoC`.

    Source: Marczak et al., No Task Left Behind: Isotropic Model Merging with Common and Task-Specific Subspaces, 2025.
    """

    method: ClassVar[Method] = Method(
        title="Iso-CTS",
        paper="No Task Left Behind: Isotropic Model Merging with Common and Task-Specific Subspaces",
        year=2025,
        url="https://arxiv.org/abs/2502.04959",
        needs="parameters",
        cost="n + 3 singular value decompositions per matrix",
    )

    def __init__(
        self, common: float = 0.8, scale: float = 1.0, exclude: Sequence[str] = (), others: Others = "mean"
    ) -> None:
        if not 0.0 <= common <= 1.0:
            raise ConfigurationError(f"common is a share of the rank, between 0 and 1; got {common}")
        check_others(others)
        self.common = common
        self.scale = scale
        self.exclude = exclude
        self.others: Others = others

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def merge_matrices(self, deltas: Sequence[Tensor], found: Any) -> Tensor:
        rank = min(deltas[0].shape)
        each = round((rank - int(rank * self.common)) / len(deltas))
        left, values, right = svd(add(deltas), max(rank - each * len(deltas), 0))
        parts = [(left, values, right)]
        for index in range(len(deltas) if each else 0):
            delta = deltas[index]
            parts.append(svd(delta.sub_(left @ (left.T @ delta)), each))
        lefts, strengths, rights = zip(*parts, strict=True)
        joint = polar(torch.cat(lefts, 1)) @ polar(torch.cat(rights).T).T
        return joint.mul_(torch.cat(strengths).sum() / rank)

    def work(self, rows: int, columns: int, models: int) -> int:
        return 4 * rows * columns + svd_work(rows, columns) + 4 * min(rows, columns) * (rows + columns)
