"""A Gramian taken apart into what does not depend on the tasks' scales (cosines) and what does (norms)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Below this, an eigenvalue of a matrix with unit diagonal is rounding and no direction of its own.
ROUNDING = 1e-14


def normalise(gramian: Array) -> tuple[Array, Array]:
    """Return the cosines ``[T, T]`` and the norms ``[T]`` with ``gramian = norms * cosines * norms``.

    Rows over many decades are the reason: in the Gramian itself the small ones drown in the rounding of the large ones,
    in the cosines they do not. A zero gradient has no direction: its row and column are 0, its diagonal entry too.
    """
    norms = np.sqrt(np.maximum(np.diagonal(gramian), 0.0))
    inverse = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    cosines = np.clip((inverse[:, None] * gramian) * inverse, -1.0, 1.0)
    np.fill_diagonal(cosines, (norms > 0).astype(np.float64))
    return (cosines + cosines.T) / 2, norms


def precision(gramian: Array) -> float:
    """Return the relative rounding that the entries carry: single precision's if all of them are such numbers.

    A Gramian is solved in double precision whatever it was computed in, and its rank must not be read off its noise.
    """
    with np.errstate(over="ignore"):  # what is too large for single precision is none
        single = bool((gramian.astype(np.float32) == gramian).all())
    return float(np.finfo(np.float32 if single else np.float64).eps)


def spectrum(matrix: Array) -> tuple[Array, Array]:
    """Return eigenvalues ``[T]`` (ascending, rounding below zero removed) and eigenvectors ``[T, T]`` in columns."""
    values, vectors = np.linalg.eigh(matrix)
    return np.maximum(values, 0.0), vectors


def root(cosines: Array) -> Array:
    """Return ``A [T, T]`` with ``A.T @ A`` equal to ``cosines``: unit gradients in coordinates of their own span.

    Working on ``A`` instead of on ``A.T @ A`` keeps the digits that squaring loses. Cost O(T^3).
    """
    values, vectors = spectrum(cosines)
    return np.sqrt(values)[:, None] * vectors.T


def positive_definite(cosines: Array) -> Array:
    """Return ``cosines`` with a ridge at rounding level, so that every principal block has a Cholesky factor.

    Rounding (float32 above all) can leave eigenvalues well below zero. As far as the lowest of them lies below, others
    lie above for no better reason: those up to twice that are taken for 0 too, so that dependent gradients stay
    dependent. What is left moves a Karush-Kuhn-Tucker residual by rounding times the size of the solution.
    """
    ridge = ROUNDING * len(cosines) * np.eye(len(cosines))
    try:
        np.linalg.cholesky(cosines + ridge)
    except np.linalg.LinAlgError:
        values, vectors = np.linalg.eigh(cosines)
        values[values <= -2.0 * values[0]] = 0.0
        return (vectors * values) @ vectors.T + ridge
    return cosines + ridge
