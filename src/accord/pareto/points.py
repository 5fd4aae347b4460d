"""What every function of this room takes for a set of points."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from accord.errors import DataError

Array = NDArray[np.float64]
Points = Tensor | NDArray[np.floating]


def read_points(points: Points, name: str = "points") -> Array:
    """Return ``points`` ``[n, m]`` as float64 on the CPU.

    Raises:
        DataError: not two dimensions, or a number that is not finite; it is named.
    """
    values = points.detach().cpu() if isinstance(points, Tensor) else points
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] == 0:
        raise DataError(f"{name} must be [n, m], a row per point and a column per objective; got {list(array.shape)}")
    wrong = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if wrong.size:
        raise DataError(f"{name}[{wrong[0]}] is {array[wrong[0]].tolist()}, which is not finite; leave such points out")
    return array


def read_reference(reference: Points | list[float] | tuple[float, ...], objectives: int) -> Array:
    """Return a reference point ``[m]`` as float64.

    Raises:
        DataError: it has not one finite number per objective.
    """
    values = reference.detach().cpu() if isinstance(reference, Tensor) else reference
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (objectives,) or not np.isfinite(array).all():
        raise DataError(f"a reference is one finite number for each of {objectives} objectives; got {array.tolist()}")
    return array


def like(values: NDArray, points: Points) -> Tensor:
    """Return ``values`` as a tensor on the device of ``points``."""
    found = torch.from_numpy(values)
    return found.to(points.device) if isinstance(points, Tensor) else found
