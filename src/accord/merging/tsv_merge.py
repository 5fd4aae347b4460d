"""The leading singular vectors of every task, made orthogonal to those of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from accord.merging.matrix_method import MatrixMethod, Others, check_others
from accord.merging.spectra import polar, svd, svd_work
from accord.method import Method


class TSVMerge(MatrixMethod):
    """Compress each task's matrices to their leading singular vectors and whiten these across tasks.

    Of each of the ``n`` task vectors of a matrix of rank ``r`` the first ``r / n`` singular triplets are kept, all
    left vectors written side by side, and replaced by the nearest matrix with orthonormal columns; so with the right
    ones. The merged task vector is ``U diag(S) V^T`` of the results. Other tensors are averaged.

    Cost: one singular value decomposition for each task and two for all, per matrix, which is held whole.

    Args:
        scale: factor of the merged task vector, the mean of other tensors included. The paper's value is 1.
        exclude: patterns of matrices that are treated as other tensors; the paper leaves out CLIP's text projection.
        others: what becomes of other tensors: ``"mean"`` as in the paper, or ``"base"``.

    At least one triplet is kept. Singular vectors that coincide across tasks are shared between them: of identical task
    vectors the first ``r / n`` triplets come back, where the authors' decomposition fills up with arbitrary directions.
    One model comes back.

    Source: Gargiulo et al., Task Singular Vectors: Reducing Task Interference in Model Merging, 2025.
    """

    method: ClassVar[Method] = Method(
        title="TSV-Merge",
        paper="Task Singular Vectors: Reducing Task Interference in Model Merging",
        year=2025,
        url="https://arxiv.org/abs/2412.00081",
        needs="parameters",
        cost="n + 2 singular value decompositions per matrix",
    )

    def __init__(self, scale: float = 1.0, exclude: Sequence[str] = (), others: Others = "mean") -> None:
        check_others(others)
        self.scale = scale
        self.exclude = exclude
        self.others: Others = others

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def merge_matrices(self, deltas: Sequence[Tensor], found: Any) -> Tensor:
        first = deltas[0]
        if len(deltas) == 1:
            return first
        kept = max(1, min(first.shape) // len(deltas))
        left, values, right = zip(*(svd(deltas[index], kept) for index in range(len(deltas))), strict=True)
        return polar(torch.cat(left, 1)) * torch.cat(values) @ polar(torch.cat(right).T).T

    def work(self, rows: int, columns: int, models: int) -> int:
        return 3 * rows * columns + svd_work(rows, columns) + 3 * min(rows, columns) * (rows + columns)
