"""Preferences to train with and to look at."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError


def simplex_grid(objectives: int, divisions: int) -> Tensor:
    """Return all preferences ``[n, m]`` whose entries are multiples of ``1 / divisions``, the first objective's last.

    That is ``n = C(divisions + m - 1, m - 1)`` preferences, float64 (Das and Dennis, Normal-Boundary Intersection,
    1998): for two objectives ``divisions + 1`` evenly spaced ones.

    Raises:
        ConfigurationError: there is no objective or no division.
    """
    if objectives < 1 or divisions < 1:
        raise ConfigurationError(f"a grid has at least 1 objective and 1 division; got {objectives} and {divisions}")
    bars = itertools.combinations(range(divisions + objectives - 1), objectives - 1)
    edges = np.array([(-1, *chosen, divisions + objectives - 1) for chosen in bars])
    return torch.from_numpy((np.diff(edges, axis=1) - 1) / divisions)


def grid_size(objectives: int, divisions: int) -> int:
    """Return how many preferences :func:`simplex_grid` has."""
    return math.comb(divisions + objectives - 1, objectives - 1)


def draw_preferences(
    count: int, objectives: int, generator: torch.Generator, concentration: float | Sequence[float] = 1.0
) -> Tensor:
    """Return ``count`` preferences ``[count, m]`` from a Dirichlet distribution, float32.

    Args:
        count: how many.
        objectives: m.
        generator: on the CPU.
        concentration: above 0, one for all objectives or one each. 1 is uniform on the simplex, less prefers its
            corners, more its middle.

    Raises:
        ConfigurationError: a concentration is not above 0, or there is not one per objective.
    """
    shape = np.broadcast_to(np.asarray(concentration, dtype=np.float64), (np.size(concentration),))
    if not bool((shape > 0).all()) or len(shape) not in (1, objectives):
        raise ConfigurationError(
            f"concentration must be one number above 0, or {objectives} of them; got {concentration}"
        )
    # PyTorch's Dirichlet distribution takes no generator, so one of NumPy's is seeded from ours.
    seed = int(torch.randint(2**63 - 1, (), generator=generator))
    drawn = np.random.default_rng(seed).dirichlet(np.broadcast_to(shape, (objectives,)), count)
    return torch.from_numpy(drawn).float()
