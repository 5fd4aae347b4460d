"""The volume that a set of points dominates, and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from accord.pareto.points import Array, Points, read_points, read_reference

# Numbers in one block of the three-objective sweep.
CELLS = 2**21


def hypervolume(points: Points, reference: Points | list[float] | tuple[float, ...]) -> Tensor:
    """Return the volume of what ``points`` dominate and the reference does not, exactly; all objectives are minimised.

    Differentiable in ``points``. With ``d`` the offsets from the reference, the slope in one coordinate of a point is
    minus the area of the facet that only this point holds up there (Emmerich and Deutz, Time Complexity and Zeros of
    the Hypervolume Indicator Gradient Field, 2014), and the volume is the sum over points of facet times offset in any
    one coordinate. Dominated points and points beyond the reference have no part in it and slope 0; of points that are
    equal in a coordinate, the first in order counts as the lower one there, which gives one of the possible slopes.

    Args:
        points: ``[n, m]``, finite; ``n`` may be 0.
        reference: ``[m]``, the worst corner.

    Returns:
        A scalar, float64 for arrays, else of the dtype and device of ``points``. Cost: O(n log n) for two objectives,
        O(n^2) for three (100 points with their gradient in about a millisecond), a factor n for each further one.

    Raises:
        DataError: points or reference are not finite or do not fit together.
    """
    given = points if isinstance(points, Tensor) else torch.from_numpy(np.asarray(points, dtype=np.float64))
    array = read_points(given)
    return _Hypervolume.apply(given, array, read_reference(reference, array.shape[1]))  # pyright: ignore[reportReturnType]


class _Hypervolume(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, points: Tensor, array: Array, reference: Array) -> Tensor:
        ctx.array, ctx.reference = array, reference
        return torch.tensor(volume(array, reference), dtype=points.dtype, device=points.device)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        array, reference = ctx.array, ctx.reference
        slopes = np.stack([-facets(array, reference, axis) for axis in range(array.shape[1])], axis=1)
        return grads[0] * torch.from_numpy(slopes).to(grads[0]), None, None


def volume(points: Array, reference: Array) -> float:
    """Return the hypervolume of ``points`` ``[n, m]``."""
    if not len(points):
        return 0.0
    axis = points.shape[1] - 1
    heights = np.maximum(reference[axis] - points[:, axis], 0.0)
    return float(facets(points, reference, axis) @ heights)


def facets(points: Array, reference: Array, axis: int) -> Array:
    """Return by point ``[n]`` the part of its facet across ``axis`` that no point lower on ``axis`` dominates.

    That is a volume in the other ``m - 1`` coordinates: what the point adds to a sweep along ``axis`` when it is met.
    """
    found = np.zeros(len(points))
    inside = np.flatnonzero((points < reference).all(axis=1))
    order = inside[np.argsort(points[inside, axis], kind="stable")]
    others, corner = np.delete(points[order], axis, axis=1), np.delete(reference, axis)
    found[order] = _new(others, corner)
    return found


def _new(points: Array, corner: Array) -> Array:
    """Return what each of ``points`` ``[n, k]`` dominates and none before it does, up to ``corner`` ``[k]``."""
    dimensions = points.shape[1]
    if dimensions == 0:
        return (np.arange(len(points)) == 0).astype(np.float64)
    if dimensions == 1:
        least = np.minimum.accumulate(np.concatenate([corner, points[:, 0]]))
        return least[:-1] - least[1:]
    if dimensions == 2:
        return _new_areas(points, corner)
    whole = np.prod(corner - points, axis=1)
    held = [volume(np.maximum(points[:i], points[i]), corner) for i in range(len(points))]
    return np.maximum(whole - held, 0.0)


def _new_areas(points: Array, corner: Array) -> Array:
    # All points in order of their first coordinate; for each point, those before it cut pieces off its rectangle.
    count = len(points)
    order = np.argsort(points[:, 0], kind="stable")
    x, y = points[order].T
    found = np.empty(count)
    step = max(1, CELLS // max(1, count))
    for start in range(0, count, step):
        rows = points[start : start + step]
        earlier = order < np.arange(start, start + len(rows))[:, None]
        left = np.maximum(x, rows[:, :1])
        widths = np.diff(left, axis=1, append=corner[0])
        floor = np.minimum.accumulate(np.where(earlier, np.maximum(y, rows[:, 1:]), corner[1]), axis=1)
        whole = (corner[0] - rows[:, 0]) * (corner[1] - rows[:, 1])
        found[start : start + step] = whole - np.einsum("ij,ij->i", widths, corner[1] - floor)
    # What is left of a rectangle that others cover is rounding.
    return np.where(found > 1e-14 * np.prod(corner - points, axis=1), found, 0.0)
