"""Sums of products of two factors, and the nearest product of a given rank."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from accord.errors import DataError
from accord.merging.adapters.factors import Factors

Parts = Sequence[Factors | None]
Cut = tuple[Tensor, Tensor, tuple[float, float]]


def concatenate(parts: Parts, coefficients: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Return ``left [rows, sum of r]`` and ``right [sum of r, width]`` of ``sum_i c_i scale_i left_i right_i``.

    Adapters that lack the module, and coefficients of 0, take no rank. Exact in float64.
    """
    lefts, rights = [], []
    for part, coefficient in zip(parts, coefficients, strict=True):
        if part is None or coefficient == 0.0:
            continue
        left, right = part.flat()
        lefts.append(left.double() * (part.scale * coefficient))
        rights.append(right.double())
    if not lefts:
        rows, width = shape_of(parts)
        return torch.zeros((rows, 1), dtype=torch.float64), torch.zeros((1, width), dtype=torch.float64)
    return torch.cat(lefts, dim=1), torch.cat(rights)


def shape_of(parts: Parts) -> tuple[int, int]:
    """Return rows and width of the changes of one module."""
    left, right = next(part for part in parts if part is not None).flat()
    return left.shape[0], right.shape[1]


def truncate(left: Tensor, right: Tensor, rank: int) -> Cut:
    """Return the nearest product of at most ``rank``, and the sums of squares that it leaves out and of the whole.

    Works on the factors' own QR decompositions: ``O((rows + width) r^2)`` for a product of rank ``r``.
    """
    q_left, r_left = torch.linalg.qr(left)
    q_right, r_right = torch.linalg.qr(right.T)
    u, s, v = torch.linalg.svd(r_left @ r_right.T, full_matrices=False)
    return _cut(q_left @ u, s, v @ q_right.T, rank)


def decompose(merged: Tensor, rank: int) -> Cut:
    """Return the nearest product of ``rank`` to a matrix, as :func:`truncate` does for one that is given in factors.

    Cost: a singular value decomposition of the whole matrix.
    """
    u, s, v = torch.linalg.svd(merged, full_matrices=False)
    return _cut(u, s, v, rank)


def _cut(u: Tensor, s: Tensor, v: Tensor, rank: int) -> Cut:
    kept = min(rank, len(s))
    share = s[:kept].sqrt()
    return u[:, :kept] * share, share[:, None] * v[:kept], (float((s[kept:] ** 2).sum()), float((s**2).sum()))


def check_alike(parts: Parts) -> None:
    """Raise a :class:`DataError` if adapters' factors of one module are of different shapes or kinds."""
    shapes = {(f.kind, f.transposed, f.a.shape[1:], f.b.shape[0]): f for f in parts if f is not None}
    if len(shapes) > 1:
        raise DataError(
            f"the adapters' factors of {next(iter(shapes.values())).module} are of different shapes or kinds: they "
            "belong to different bases"
        )
