"""The problem inside CAGrad: the worst improvement over tasks, maximised in a ball around the mean gradient."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accord.linalg.gram import Array, normalise, root
from accord.linalg.min_norm import min_norm_of_columns
from accord.linalg.nonnegative import nonnegative_least_squares

# How near the hull of the gradients must come to 0, in units of the shortest gradient, to count as touching it.
TOUCHING = 1e-9
# Relative change of the root at which it is settled, and more halvings of a bracket over 24 decades than that takes
# (steps on a fixed support, which converge at once when the support is right, need about five).
SETTLED = 1e-11
STEPS = 120


def conflict_averse_weights(gramian: Array, centre: Array, radius: float) -> Array:
    """Return ``z >= 0`` ``[T]`` such that ``d = J.T @ (centre + z)`` solves the CAGrad problem.

    That is ``max_d min_i <g_i, d>`` subject to ``|d - g_0| <= radius |g_0|`` with ``g_0 = J.T @ centre``. Its dual is
    ``min_w <g_w, g_0> + radius |g_0| |g_w|`` over the simplex, and ``z = radius |g_0| / |g_w| * w``.

    As ``|x| = min_e (|x|^2 / e + e) / 2``, the dual is jointly convex in ``w`` and a length ``e``. For a given ``e`` it
    asks for the min-norm point of the gradients shifted along ``g_0``, which is found exactly; what is left is the root
    of a function of one variable that changes sign once. On a fixed support that root has a closed form, so a handful
    of min-norm points settle it.

    The dual has a solution with ``g_w = 0`` only if the gradients hold each other in balance. The projection of ``g_0``
    onto the cone of directions without conflict then solves the problem if it lies inside the ball, and is returned.

    Args:
        gramian: ``[T, T]`` inner products of the gradients, finite.
        centre: ``[T]`` weights of the centre of the ball.
        radius: the paper's ``c``, 0 or more, as a fraction of ``|g_0|``.
    """
    cosines, norms = normalise(gramian)
    units = root(cosines)
    columns = units * norms
    middle = columns @ centre
    reach = radius * float(np.linalg.norm(middle))
    weights = np.zeros_like(centre)
    moved = norms > 0  # a zero gradient gains nothing anywhere, so the others decide
    if reach > 0.0:
        weights[moved] = _Ball(units[:, moved], norms[moved], columns[:, moved], middle, reach).solve()
    return weights


@dataclass(frozen=True, slots=True)
class _Ball:
    """One problem: gradients (``columns``, ``[d, T]``) and a ball of size ``reach`` around ``middle`` ``[d]``."""

    units: Array
    norms: Array
    columns: Array
    middle: Array
    reach: float

    def solve(self) -> Array:
        """Return ``z`` from the root in ``t``, the length of ``g_w`` over ``reach``; then ``z = w / t``."""
        nearest = float(np.linalg.norm(self.columns @ min_norm_of_columns(self.units, self.norms)))
        low, high = nearest / self.reach, float(self.norms.max()) / self.reach
        floor = TOUCHING * float(self.norms.min()) / self.reach
        if low < floor:
            low = floor
            if self._excess(low, self._weights(low)) <= 0.0:
                return nonnegative_least_squares(self.columns, -self.middle)
        return self._bracketed(low, high)

    def _bracketed(self, low: float, high: float) -> Array:
        length = high
        weights = self._weights(length)
        for _ in range(STEPS):
            low, high = (length, high) if self._excess(length, weights) > 0.0 else (low, length)
            following = self._root_on_support(weights)
            if abs(following - length) <= SETTLED * length or high - low <= SETTLED * high:
                break
            length = following if low < following < high else float(np.sqrt(low * high))
            weights = self._weights(length)
        return weights / length

    def _weights(self, length: float) -> Array:
        shifted = self.columns + length * self.middle[:, None]
        norms = np.linalg.norm(shifted, axis=0)
        return min_norm_of_columns(np.divide(shifted, norms, out=np.zeros_like(shifted), where=norms > 0), norms)

    def _excess(self, length: float, weights: Array) -> float:
        return float(np.linalg.norm(self.columns @ weights)) - length * self.reach

    def _root_on_support(self, weights: Array) -> float:
        """Return the root if the support of ``weights`` stays; 0, outside any bracket, if it has none.

        On the affine hull of a support the point is ``p - t q``: ``p`` its point nearest to 0, ``q`` the part of
        ``middle`` along it. They are orthogonal, so ``|p|^2 + t^2 |q|^2 = t^2 reach^2``.
        """
        support = np.flatnonzero(weights > 0)
        anchor = support[np.argmin(self.norms[support])]
        edges = self.columns[:, support[support != anchor]] - self.columns[:, [anchor]]
        along = _orthonormal(edges)
        point = self.columns[:, anchor]
        distance = float(np.linalg.norm(point - along @ (along.T @ point)))
        slope = self.reach**2 - float(np.sum((along.T @ self.middle) ** 2))
        return distance / float(np.sqrt(slope)) if slope > 0.0 else 0.0


def _orthonormal(edges: Array) -> Array:
    """Return an orthonormal basis ``[d, r]`` of the span of the columns, whatever their lengths."""
    lengths = np.linalg.norm(edges, axis=0)
    kept = edges[:, lengths > 0] / lengths[lengths > 0]
    left, values, _ = np.linalg.svd(kept, full_matrices=False)
    return left[:, values > 1e-12]
