"""The front in slices: one solution per preference, each kept to its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.linalg import min_norm_weights
from accord.method import Method
from accord.pareto.points import Array
from accord.pareto.preference_solver import PreferenceSolver, rays


class PMTL(PreferenceSolver):
    """Pareto MTL: MGDA inside the slice of the losses' space that is nearer to this preference's ray than to others.

    With unit rays ``u_k`` (on which ``preference_i l_i`` is alike), this solution's ``k`` and any other ``j``, the
    constraint ``(u_j - u_k) @ l <= 0`` has the gradient ``(u_j - u_k) @ J``, so the Gramian decides all.

    - *first*, until the losses are in their slice once, or for ``search`` steps: the shortest mixture of the violated
      constraints' gradients.
    - *then*: the shortest mixture of the tasks' gradients and those of the violated constraints, with its absolute
      weights on the tasks brought to sum 1.

    Weights may be negative. Shapes: Gramian ``[T, T]``, losses ``[T]`` -> weights ``[T]``. Cost: O(T^2 P + (T + K)^3).
    State: two integers.

    Args:
        preferences: ``[K, T]``, those of all solutions; more of one asks for a lower loss.
        index: which of them this solution is to have, 0 to ``K - 1``.
        search: 0 or more, the most steps that the first phase may take; the paper allows two epochs.

    Raises:
        ConfigurationError: an option is out of range; in a step, losses are missing or negative.

    Source: Lin et al., Pareto Multi-Task Learning, 2019. The weights in the first phase are used as they come, and in
    the second divided by their absolute sum, as in the authors' code, which multiplies by T; here the common scale.
    A step without any active task, or with all losses 0, counts for no phase.
    """

    method: ClassVar[Method] = Method(
        title="Pareto MTL",
        paper="Pareto Multi-Task Learning",
        year=2019,
        url="https://arxiv.org/abs/1912.12854",
        needs="gramian",
        cost="T backwards + O(T^2 P + (T + K)^3)",
    )
    steps: Tensor
    settled: Tensor

    def __init__(self, preferences: Sequence[Sequence[float]] | Tensor, index: int, search: int = 1000) -> None:
        super().__init__(torch.as_tensor(preferences, dtype=torch.float64))
        if self.preference.ndim != 2:
            raise ConfigurationError(f"preferences must be [K, T], a row per solution; got {self.preference.tolist()}")
        if not 0 <= index < len(self.preference):
            raise ConfigurationError(f"index must be one of the {len(self.preference)} preferences; got {index}")
        if search < 0:
            raise ConfigurationError(f"search must be a number of steps, 0 or more; got {search}")
        self.index, self.search = index, search
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self.register_buffer("settled", torch.tensor(search == 0))

    def solve(self, gramian: Array, losses: Array, preference: Array) -> Array:
        directions = rays(preference)
        apart = directions - directions[self.index]
        violated = apart[apart @ losses > 0]
        if not self.settled:
            self.settled |= not len(violated)
        if not self.settled:
            self.steps += 1
            self.settled |= bool(self.steps >= self.search)
            return _shortest(violated, gramian)
        weights = _shortest(np.vstack([np.eye(len(losses)), violated]), gramian)
        total = np.abs(weights).sum()
        return weights / total if total > 0 else weights

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, index={self.index}, search={self.search}"


def _shortest(mixtures: Array, gramian: Array) -> Array:
    """Return what the shortest convex mixture of ``mixtures @ J`` is in terms of the rows of ``J``."""
    return min_norm_weights(mixtures @ gramian @ mixtures.T) @ mixtures
