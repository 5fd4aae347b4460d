"""Singular vectors of task vectors, in float64."""

from __future__ import annotations

import torch
from torch import Tensor

# Matrices whose shorter side is at most this are decomposed directly; for larger ones the eigenvectors of the Gramian
# of the shorter side cost a half to a seventh, and are exact to 1e-16 over the square of the relative singular value.
DIRECT = 512
# Singular values below this share of the largest count as 0: their vectors would be rounding.
RANK = 1e-7


def svd(matrix: Tensor, keep: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Return the leading singular triplets ``[m, q]``, ``[q]``, ``[q, k]`` of a matrix ``[m, k]``.

    Args:
        matrix: float64.
        keep: ``q`` at most. Triplets whose value counts as 0 are left out, so that a matrix of zeros has none.
    """
    rows, columns = matrix.shape
    if rows > columns:
        right, values, left = svd(matrix.T, keep)
        return left.T, values, right.T
    if rows <= DIRECT:
        left, values, right = torch.linalg.svd(matrix, full_matrices=False)
        count = _count(values, keep)
        return left[:, :count], values[:count], right[:count]
    squares, vectors = torch.linalg.eigh(matrix @ matrix.T)
    count = _count(squares.flip(0).clamp_(min=0.0).sqrt_(), keep)
    left = vectors[:, rows - count :].flip(1)
    right = left.T @ matrix
    values = right.norm(dim=1)
    return left, values, right.div_(values[:, None])


def polar(columns: Tensor) -> Tensor:
    """Return the matrix ``[m, p]`` with orthonormal columns that is nearest to ``columns``, within its column space.

    Where columns depend on each other the result has orthonormal columns on what they span, and nothing is made up for
    the rest, which a plain singular value decomposition fills with arbitrary directions.
    """
    left, _, right = svd(columns)
    return left @ right


def svd_work(rows: int, columns: int) -> int:
    """Return how many numbers :func:`svd` holds at most besides its argument."""
    shorter = min(rows, columns)
    return 6 * shorter * shorter + 2 * shorter * (rows + columns)


def _count(values: Tensor, keep: int | None) -> int:
    count = int((values > RANK * values[0]).sum()) if len(values) else 0
    return count if keep is None else min(count, keep)
