"""The preferences that a front is measured at, or trained for."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.pareto.preferences import grid_size, simplex_grid

# A preference of 0 is none for methods that divide by it.
LEAST = 0.02


def preference_grid(tasks: int, points: int) -> Tensor:
    """Return at least ``points`` evenly spaced preferences ``[n, T]``, corners included, float64."""
    divisions = 1
    while grid_size(tasks, divisions) < points:
        divisions += 1
    return simplex_grid(tasks, divisions)


def inside(preferences: Tensor) -> Tensor:
    """Return ``preferences`` ``[n, T]`` moved off the simplex's edges, so that no entry is below :data:`LEAST`."""
    floor = min(LEAST, 0.5 / preferences.shape[1])
    return floor + (1 - preferences.shape[1] * floor) * preferences


def nearest(preferences: Tensor, preference: Tensor) -> int:
    """Return the number of the row of ``preferences`` ``[n, T]`` that is nearest to ``preference`` ``[T]``."""
    return int(torch.linalg.vector_norm(preferences - preference, dim=1).argmin())
