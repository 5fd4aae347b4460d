"""How good a set of points is, other than by hypervolume; all objectives are minimised. From moocore's C library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.errors import MissingExtraError
from accord.pareto.points import Points, read_points, read_reference


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
    """Return the expected Tchebycheff value of the best of ``points`` over all preferences, exactly; two objectives.

    R2 (Hansen and Jaszkiewicz 1998; exact form by Jaszkiewicz and Zielniewicz 2024).

    Raises:
        DataError: not ``[n, 2]`` or not finite.
        MissingExtraError: moocore is not installed.
    """
    array = read_points(points)
    return float(_moocore().r2_exact(array, ref=read_reference(ideal, array.shape[1])))


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
