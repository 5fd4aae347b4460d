"""What one call of :func:`accord.backward` did."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Part:
    """What was decided for one group of shared parameters.

    Attributes:
        weights: ``[T]`` on the tasks' gradients in this group; ``None`` where its direction is no weighted sum, or was
            not decided for this group by itself.
        gramian: ``[T, T]`` float64 of the gradients in this group.
    """

    weights: Tensor | None
    gramian: Tensor


@dataclass(frozen=True, slots=True)
class Step:
    """What was decided, for logs and histories; the gradients themselves are in ``.grad``.

    Attributes:
        names: T task names; positions as text when the losses have none.
        losses: ``[T]``, values only; 0 for absent tasks.
        weights: ``[T]`` on the tasks' gradients, 0 for inactive tasks; ``None`` when the aggregator's direction is no
            weighted sum, or each group has its own.
        gramian: ``[T, T]`` float64; zero rows for inactive tasks; ``None`` when the balancer needed none.
        active: ``[T]`` bool, the tasks that took part.
        skipped: why each of the others did not.
        groups: the same by group, where ``shared`` was a mapping and the balancer needed a Gramian; the Gramians of all
            groups add up to ``gramian``.
    """

    names: tuple[str, ...]
    losses: Tensor
    weights: Tensor | None
    gramian: Tensor | None
    active: Tensor
    skipped: dict[str, str]
    groups: dict[str, Part] = field(default_factory=dict)

    def cosines(self) -> Tensor | None:
        """Return the cosines ``[T, T]`` between the tasks' gradients; NaN where one is zero or inactive."""
        if self.gramian is None:
            return None
        norms = self.gramian.diagonal().sqrt()
        lengths = torch.where(norms > 0, norms, torch.nan)
        return (self.gramian / lengths[:, None] / lengths).clamp(-1, 1)
