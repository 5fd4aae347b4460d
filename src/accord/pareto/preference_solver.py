"""Gramian aggregators that steer the losses to where a preference wants them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from accord.aggregation.known_losses import known_losses
from accord.balancer import GramianAggregator, solve_active
from accord.errors import ConfigurationError
from accord.pareto.points import Array


class PreferenceSolver(GramianAggregator):
    """An aggregator that looks for the Pareto optimal point at which ``preference_i * loss_i`` is alike for all tasks.

    More of a preference therefore means a lower loss, and that the task matters more; the papers' preference vectors,
    where they are rays in the space of the losses, are ``1 / preference``. Losses must not be negative, and 0 must be
    the best that each could be.

    Args:
        preference: ``[T]`` positive relative importances, or ``[K, T]`` for a method that is told several. Only ratios
            count. Over the tasks that are active in a step they are brought to sum 1. Equal if ``None``.

    Raises:
        ConfigurationError: a preference is not positive; in a step, there are no losses, or negative ones.
    """

    preference: Tensor

    def __init__(self, preference: Sequence[float] | Tensor | None) -> None:
        super().__init__()
        self.register_buffer("preference", _checked(preference))

    def weights(self, gramian: Tensor, *, losses: Tensor | None = None, active: Tensor | None = None) -> Tensor:
        name = type(self).__name__
        values = known_losses(losses, active, f"{name} steers by the losses", "an aggregator of accord.aggregation")
        preference = self._over(len(gramian), active)
        return solve_active(
            lambda part: torch.from_numpy(self.solve(part.numpy(), values.numpy(), preference.numpy())), gramian, active
        )

    @abstractmethod
    def solve(self, gramian: Array, losses: Array, preference: Array) -> Array:
        """Return weights ``[n]`` from what is known about the ``n`` active tasks.

        Args:
            gramian: ``[n, n]``, finite and not all 0.
            losses: ``[n]``, none negative.
            preference: ``[n]`` or ``[K, n]``, positive, sums of 1.
        """

    def _over(self, tasks: int, active: Tensor | None) -> Tensor:
        preference = self.preference.cpu() if self.preference.numel() else torch.ones(tasks, dtype=torch.float64)
        if preference.shape[-1] != tasks:
            raise ConfigurationError(
                f"the preference has {preference.shape[-1]} entries but there are {tasks} tasks; give one per task"
            )
        kept = preference if active is None else preference[..., active.cpu()]
        return kept / kept.sum(dim=-1, keepdim=True)

    def extra_repr(self) -> str:
        return f"preference={self.preference.tolist() if self.preference.numel() else None}"


def rays(preference: Array) -> Array:
    """Return the unit vectors ``[..., n]`` in the space of the losses on which ``preference_i * loss_i`` is alike."""
    directions = preference.min(axis=-1, keepdims=True) / preference
    return directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def _checked(preference: Sequence[float] | Tensor | None) -> Tensor:
    if preference is None:
        return torch.zeros(0, dtype=torch.float64)
    values = torch.as_tensor(preference, dtype=torch.float64).detach().clone()
    if values.ndim not in (1, 2) or not values.numel() or not bool((values.isfinite() & (values > 0)).all()):
        raise ConfigurationError(
            "a preference is one finite, positive number per task, 0.01 rather than 0 for a task that hardly matters; "
            f"got {values.tolist()}"
        )
    return values
