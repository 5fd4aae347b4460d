"""Directions with given projections on the gradients' own directions: the equation behind IMTL-G and ConFIG."""

from __future__ import annotations

import numpy as np

from accord.linalg.gram import Array, spectrum


def with_projections(cosines: Array, projections: Array, rounding: float) -> Array:
    """Return ``b`` ``[T]`` with ``cosines @ b`` as near to ``projections`` ``[T]``, 0 or more, as it can be.

    The least squares solution of least norm; 0 if the projections have no part in the range of ``cosines``, as equal
    ones between opposed gradients.

    Args:
        cosines: ``[T, T]`` positive semi-definite, diagonal 1.
        projections: ``[T]``.
        rounding: relative rounding of the entries of ``cosines``, below which an eigenvalue is noise.
    """
    values, vectors = spectrum(cosines)
    parts = projections @ vectors
    kept = values > len(values) * rounding * values[-1]
    if np.linalg.norm(parts[kept]) <= np.sqrt(rounding) * np.linalg.norm(projections):
        return np.zeros_like(values)
    return vectors[:, kept] @ (parts[kept] / values[kept])
