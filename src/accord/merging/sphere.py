"""Means of directions, from nothing but inner products."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Directions whose mean is shorter than this cancel out: any point would do as well as their mean.
CANCELLED = 1e-8
CLOSE = 1e-12


def spherical_mean(gramian: Array, weights: Sequence[float], steps: int) -> Array:
    """Return the coefficients ``[n]`` of vectors in their mean on the sphere, as long as their mean length.

    The mean of the directions starts at their normalised weighted sum. A step lifts all directions into the tangent
    space there (the logarithm), takes the weighted mean and goes back to the sphere. The mean of vectors lies in their
    span, so that their Gramian is all that this needs, whatever their dimension.

    Args:
        gramian: of the vectors, ``[n, n]``.
        weights: one for each, summing to 1.
        steps: at most; it ends when the mean of the tangents is shorter than 1e-12.

    Vectors of length 0 have no direction and count for the length alone. Where directions cancel out, so that no mean
    is better than another, or one is not finite, the coefficients are the weights: the mean in a straight line.
    """
    if not np.isfinite(gramian).all():
        return np.asarray(weights, dtype=np.float64)
    lengths = np.sqrt(np.diag(gramian))
    share = np.where(lengths > 0, weights, 0.0)
    safe = np.where(lengths > 0, lengths, 1.0)
    cosines = gramian / np.outer(safe, safe)
    mean = _unit(share, cosines)
    if mean is None or abs(share.sum()) < CANCELLED:
        return np.asarray(weights, dtype=np.float64)
    share = share / share.sum()
    for _ in range(steps):
        step, distance = _tangent(mean, share, cosines)
        if distance < CLOSE:
            break
        moved = _unit(np.cos(distance) * mean + np.sin(distance) / distance * step, cosines)
        assert moved is not None, "a point of the sphere has length 1"
        mean = moved
    return float(np.dot(weights, lengths)) * mean / safe


def _unit(coefficients: Array, cosines: Array) -> Array | None:
    square = coefficients @ cosines @ coefficients
    if not square > CANCELLED**2:
        return None
    return coefficients / np.sqrt(square)


def _tangent(mean: Array, share: Array, cosines: Array) -> tuple[Array, float]:
    """Return the mean of the logarithms at ``mean``, as coefficients, and its length."""
    along = np.clip(cosines @ mean, -1.0, 1.0)
    angles = np.arccos(along)
    sines = np.sin(angles)
    stretch = np.divide(angles, sines, out=np.ones_like(angles), where=sines > CANCELLED)
    step = share * stretch - float(np.sum(share * stretch * along)) * mean
    return step, float(np.sqrt(max(step @ cosines @ step, 0.0)))
