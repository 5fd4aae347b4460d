"""Coefficients of spherical interpolation, for one pair of vectors or for many at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Beyond this cosine an arc and its chord are the same to within a ten-thousandth, and the sine divides badly.
STRAIGHT = 0.9995


def arcs(gramians: Array, t: float) -> Array:
    """Return the coefficients ``[..., 2]`` of the vectors at ``t`` on the arcs between them.

    Args:
        gramians: of each pair, ``[..., 2, 2]``.
        t: 0 is the first vector and 1 the second; beyond them the arc goes on.

    Straight interpolation where two vectors are almost parallel or opposed, or one is zero or not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt(gramians[..., 0, 0] * gramians[..., 1, 1])
        known = (lengths > 0.0) & (lengths < np.inf)
        cosines = np.where(known, gramians[..., 0, 1], 1.0) / np.where(known, lengths, 1.0)
        bent = np.abs(cosines) <= STRAIGHT
    angles = np.arccos(np.where(bent, cosines, 0.0))
    ends = np.stack([np.sin((1.0 - t) * angles), np.sin(t * angles)], axis=-1) / np.sin(angles)[..., None]
    return np.where(bent[..., None], ends, [1.0 - t, t])
