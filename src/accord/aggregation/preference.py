"""Gramian aggregators that listen to a preference."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from accord.balancer import GramianAggregator, solve_active
from accord.errors import ConfigurationError


class PreferenceAggregator(GramianAggregator):
    """A Gramian aggregator without history, in which some tasks may matter more than others.

    Args:
        preference: ``[T]`` non-negative relative importances, equal if ``None``. Only ratios count. Over the tasks that
            are active in a step they are brought to sum 1.
    """

    preference: Tensor

    def __init__(self, preference: Sequence[float] | Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("preference", checked_preference(preference))

    def weights(
        self,
        gramian: Tensor,
        *,
        losses: Tensor | None = None,
        active: Tensor | None = None,
    ) -> Tensor:
        preference = self._over(len(gramian), active)
        if not preference.any():
            return gramian.new_zeros(len(gramian))
        return solve_active(lambda part: self.solve(part, preference), gramian, active)

    @abstractmethod
    def solve(self, gramian: Tensor, preference: Tensor) -> Tensor:
        """Return weights ``[T]`` for a float64 CPU Gramian ``[T, T]`` of active tasks only, finite and not all 0.

        Args:
            gramian: ``[T, T]``.
            preference: ``[T]`` float64, non-negative, summing to 1.
        """

    def _over(self, tasks: int, active: Tensor | None) -> Tensor:
        preference = self.preference.cpu() if self.preference.numel() else torch.ones(tasks, dtype=torch.float64)
        if len(preference) != tasks:
            raise ConfigurationError(
                f"the preference has {len(preference)} entries but there are {tasks} tasks; give one per task"
            )
        kept = preference if active is None else preference[active.cpu()]
        return kept / kept.sum() if kept.any() else kept


def checked_preference(preference: Sequence[float] | Tensor | None) -> Tensor:
    """Return a preference as float64 ``[T]``, empty for ``None``.

    Raises:
        ConfigurationError: it is negative somewhere, 0 everywhere, or not finite.
    """
    if preference is None:
        return torch.zeros(0, dtype=torch.float64)
    values = torch.as_tensor(preference, dtype=torch.float64).detach().clone()
    if values.ndim != 1 or not bool(values.isfinite().all()) or bool((values < 0).any()) or not bool(values.any()):
        raise ConfigurationError(
            f"a preference is one finite, non-negative number per task, not all 0; got {values.tolist()}"
        )
    return values
