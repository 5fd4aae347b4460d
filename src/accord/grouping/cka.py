"""Tasks whose encoders span the same directions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from accord.grouping.affinity import Evidence
from accord.grouping.latest import Latest
from accord.method import Method


class CKA(Latest):
    """Linear centred kernel alignment of single-task encoders.

    ``A_ij = ||X_i' X_j||_F^2 / (||X_i' X_i||_F ||X_j' X_j||_F)`` of representations with centred columns: 0 for
    orthogonal ones, 1 for the same up to rotation and scale; the same in both directions. There is no neutral point. A
    task whose encoder says the same of all rows has NaN.

    Shapes: T representations ``[N, D_t]``, the same N rows; N above D, or all look alike. Cost: T models of one task
    each, O(T^2 N^2 + T N^2 D).

    Source: Kornblith et al., Similarity of Neural Network Representations Revisited, 2019.
    """

    method: ClassVar[Method] = Method(
        title="CKA",
        paper="Similarity of Neural Network Representations Revisited",
        year=2019,
        url="https://arxiv.org/abs/1905.00414",
        needs="data",
        cost="T single-task models + O(T^2 N^2)",
    )
    hears = ("representations",)
    neutral = None

    def compare(self, evidence: Evidence) -> Tensor:
        assert evidence.representations is not None
        kernels = torch.stack([_kernel(one) for one in evidence.representations])
        return (kernels @ kernels.T).clamp(0, 1)


def _kernel(rows: Tensor) -> Tensor:
    """Return the rows' inner products as a vector of length 1; its products with others' are the alignments."""
    centred = rows - rows.mean(0)
    scale = centred.abs().max()
    kernel = ((centred / scale) @ (centred / scale).T).flatten()
    return kernel / kernel.norm()
