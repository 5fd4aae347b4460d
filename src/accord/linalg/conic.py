"""The direction in a cone that does most for the worst-off task: the problem behind ConicGrad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from accord.linalg.gram import Array, normalise, precision, spectrum
from accord.linalg.nonnegative import nonnegative_least_squares

# Relative precision of the worst gain, and more halvings of a bracket over 24 decades than that takes (steps on a fixed
# support, which converge at once when the support is right, need about five).
SETTLED = 1e-12
STEPS = 120
# Directions that unit gradients have less than the root of this in could be reached by huge weights alone: left out.
FAINT = 1e-10
# What takes weights of more than the inverse of this is as good as out of reach: they would cancel to rounding.
ENDLESS = 1e-6


def conic_weights(gramian: Array, centre: Array, cosine: float) -> Array:
    """Return ``w`` ``[T]`` such that ``d = J' w`` is as long as ``g_0 = J' centre``, near it, and fair.

    ``max_d min_i <g_i, d>`` subject to ``|d| = |g_0|`` and ``<g_0, d> >= cosine |g_0| |d|``. For a given worst gain
    ``t`` the shortest ``d`` that reaches it, with ``<g_0, d> >= cosine |g_0|``, is a problem in distances to half
    spaces, and is found exactly; it grows with ``t``, and what is left is the ``t`` at which it is as long as wanted.
    On a fixed set of tasks that bind, its squared length is quadratic in ``t``. Where no gain makes it that long, as
    between gradients that hold each other in balance, the best one is 0, and a longer ``d`` gains no less; or all
    gradients lie on one line, and only ``g_0`` itself is a mixture of them.

    Args:
        gramian: ``[T, T]`` inner products of the gradients, finite. Gradients of 0 gain from no direction, and the
            others decide.
        centre: ``[T]`` weights of the axis of the cone.
        cosine: in (0, 1), of its half angle.
    """
    cosines, norms = normalise(gramian)
    used = norms > 0
    lengths = centre * norms
    square = float(lengths @ cosines @ lengths)
    # The gradients cancel: what is left of their squares is rounding, and has no direction.
    if square <= len(lengths) * precision(gramian) * np.abs(lengths).sum() ** 2:
        return centre
    axis = square**0.5
    values, vectors = spectrum(cosines)
    kept = values > max(FAINT, len(values) * precision(gramian)) * values[-1]
    units = (vectors[:, kept] * np.sqrt(values[kept])).T
    along = units @ (lengths / axis)
    cone = _Cone(np.column_stack([units[:, used], along]), 1.0 / norms[used], cosine)
    found = cone.fairest(float((norms[used] * (units[:, used].T @ along)).min()), float(norms[used].min()))
    weights = found[-1] * centre
    weights[used] += axis * found[:-1] / norms[used]
    return weights


@dataclass(frozen=True)
class _Cone:
    """Unit gradients and the axis in columns, and what each must gain for a worst gain of ``t``: ``t * rates``."""

    columns: Array
    rates: Array
    cosine: float

    def fairest(self, low: float, high: float) -> Array:
        """Return multipliers ``[n + 1]`` of the columns whose combination has length 1.

        Args:
            low: a worst gain that the axis itself has.
            high: one that no direction of length 1 can beat.
        """
        best = np.append(np.zeros(len(self.rates)), 1.0)
        gain = 0.0 if low < 0.0 < high else low
        for _ in range(STEPS):
            found = self._shortest(gain)
            length = np.inf if found is None else float(np.linalg.norm(self.columns @ found))
            if found is not None and length <= 1.0 + SETTLED:
                low, best = gain, found
                if length >= 1.0 - SETTLED:
                    break
            else:
                high = gain
            if high - low <= SETTLED * max(abs(low), abs(high)):
                break
            guess = self._jump(found) if found is not None else None
            gain = guess if guess is not None and low < guess < high else (low + high) / 2
        return best / np.linalg.norm(self.columns @ best)

    def _shortest(self, gain: float) -> Array | None:
        """Return the multipliers of the shortest direction that reaches ``gain``; ``None`` if none does.

        Least distance programming by non-negative least squares: Lawson and Hanson, 1974, chapter 23.
        """
        wanted = np.append(gain * self.rates, self.cosine)
        target = np.zeros(len(self.columns) + 1)
        target[-1] = 1.0
        solution = nonnegative_least_squares(np.vstack([self.columns, wanted]), target)
        slack = 1.0 - wanted @ solution
        return solution / slack if slack > ENDLESS * solution.sum() else None

    def _jump(self, found: Array) -> float | None:
        """Return the gain at which the direction is of length 1 while the same columns bind."""
        binding = found > 0
        slopes, levels = np.append(self.rates, 0.0)[binding], np.append(np.zeros_like(self.rates), self.cosine)[binding]
        part = self.columns[:, binding]
        inverse = np.linalg.pinv(part.T @ part, hermitian=True)
        square, cross = slopes @ inverse @ slopes, slopes @ inverse @ levels
        rest = levels @ inverse @ levels - 1.0
        inside = cross**2 - square * rest
        return float((np.sqrt(inside) - cross) / square) if square > 0 and inside >= 0 else None
