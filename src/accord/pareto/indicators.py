"""How good a set of points is, other than by hypervolume; all objectives are minimised. Most is moocore's C library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.quasirandom import SobolEngine

from accord.errors import DataError, MissingExtraError
from accord.pareto.points import Array, Points, read_points, read_reference

# A power of two, for which a Sobol sequence is balanced.
R2_PREFERENCES = 2**15
# Preferences times points at once.
AT_ONCE = 2_000_000


def igd_plus(points: Points, front: Points) -> float:
    """Return the mean over ``front`` of how far the nearest of ``points`` is from dominating it; 0 if all is reached.

    IGD+ (Ishibuchi et al., Modified Distance Calculation in Generational Distance, 2015): only what is worse than the
    front's point counts as distance, so the indicator never prefers a dominated set.

    Args:
        points: ``[n, m]``.
        front: ``[k, m]``, a sample of the true front or the best known.

    Raises:
        DataError: not ``[n, m]`` or not finite.
        MissingExtraError: moocore is not installed.
    """
    return float(_moocore().igd_plus(read_points(points), ref=read_points(front, "front")))


def epsilon(points: Points, front: Points) -> float:
    """Return the least number that, taken off every objective of every point, makes them dominate the ``front`` weakly.

    The additive epsilon indicator (Zitzler et al., Performance Assessment of Multiobjective Optimizers, 2003).

    Raises:
        DataError: not ``[n, m]`` or not finite.
        MissingExtraError: moocore is not installed.
    """
    return float(_moocore().epsilon_additive(read_points(points), ref=read_points(front, "front")))


def r2(points: Points, ideal: Points | list[float] | tuple[float, ...]) -> float:
    """Return the expected Tchebycheff value ``min_p max_i w_i (p_i - ideal_i)`` over all preferences ``w`` alike.

    R2 (Hansen and Jaszkiewicz 1998). Less is better, and a set that dominates another weakly is never worse. With two
    objectives it is exact (Jaszkiewicz and Zielniewicz 2024). With more it is the mean over :data:`R2_PREFERENCES`
    preferences, the spacings of a sorted Sobol sequence, which fill the simplex evenly: for one point it is off by less
    than 0.04 % with up to eight objectives and 0.2 % with twenty. The usual lattice (Das and Dennis 1998) does not fill
    it evenly, as most of its points are on faces: with as many of them it is 2 % off with four objectives, 20 % with
    eight. Cost: O(n m) for each preference.

    Args:
        points: ``[n, m]``.
        ideal: ``[m]``, no worse than any of them in any objective.

    Raises:
        DataError: not ``[n, m]``, no point, not finite, or a point is better than the ideal one.
        MissingExtraError: there are two objectives, and moocore is not installed.
    """
    array = read_points(points)
    corner = read_reference(ideal, array.shape[1])
    if not len(array):
        raise DataError("points is empty, and nothing can be said of no points")
    if (array < corner).any():
        wrong = int((array < corner).any(axis=1).argmax())
        raise DataError(f"points[{wrong}] is {array[wrong].tolist()}, better than the ideal point {corner.tolist()}")
    if array.shape[1] == 2:
        return float(_moocore().r2_exact(array, ref=corner))
    return _expected(array - corner, even_preferences(R2_PREFERENCES, array.shape[1]))


def even_preferences(count: int, objectives: int) -> Array:
    """Return ``count`` preferences ``[count, m]`` that fill the simplex evenly, always the same ones.

    The spacings of uniform numbers, sorted, are uniform on the simplex (Devroye, Non-Uniform Random Variate Generation,
    1986, chapter XI); the numbers are a Sobol sequence, moved to the middle of its cells.
    """
    if objectives == 1:
        return np.ones((count, 1))
    inner = SobolEngine(objectives - 1).draw(count, dtype=torch.float64).numpy() + 0.5 / count
    return np.diff(np.sort(inner, axis=1), axis=1, prepend=0.0, append=1.0)


def _expected(gaps: Array, preferences: Array) -> float:
    best = []
    for some in np.array_split(preferences, -(-len(preferences) * len(gaps) // AT_ONCE)):
        worst = np.zeros((len(some), len(gaps)))
        for share, gap in zip(some.T, gaps.T, strict=True):
            np.maximum(worst, share[:, None] * gap, out=worst)
        best.append(worst.min(axis=1))
    return float(np.concatenate(best).mean())


def eaf(sets: Sequence[Points], percentiles: Sequence[float] = (50,)) -> Tensor:
    """Return the empirical attainment function: surfaces that a share of the ``sets`` (seeds, say) attain.

    Args:
        sets: ``[n_s, m]`` each, m 2 or 3.
        percentiles: of the sets, in (0, 100].

    Returns:
        ``[k, m + 1]`` points of the surfaces, the last column their percentile. (Grunert da Fonseca et al. 2001.)

    Raises:
        DataError: not ``[n, m]`` or not finite.
        MissingExtraError: moocore is not installed.
    """
    arrays = [read_points(points, f"sets[{number}]") for number, points in enumerate(sets)]
    labels = np.repeat(np.arange(len(arrays)), [len(array) for array in arrays])
    return torch.from_numpy(_moocore().eaf(np.concatenate(arrays), labels, percentiles=list(percentiles)))


def _moocore() -> Any:
    try:
        import moocore
    except ImportError as missing:
        raise MissingExtraError("accord.pareto's indicators", "pareto", "moocore") from missing
    return moocore
