"""Labels as a loss takes them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """Encoded labels of one task over N rows.

    Attributes:
        values: ``[N]`` (or ``[N, K]`` for several label columns); 0 where missing, never NaN. Class kinds hold int64
            positions, all others float32.
        observed: bool, same shape: whether there is a label the loss may look at.
        weights: ``[N]`` float32 row weights, or ``None`` for 1 each.
    """

    values: Tensor
    observed: Tensor
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.values)

    def take(self, rows: Tensor | slice) -> Target:
        """Return the target of ``rows`` (int64 positions, a bool mask or a slice)."""
        weights = None if self.weights is None else self.weights[rows]
        return Target(self.values[rows], self.observed[rows], weights)

    def where(self, rows: Tensor) -> Target:
        """Return the target with labels in ``rows`` alone, a bool mask ``[N]``."""
        mask = rows.view([-1] + [1] * (self.observed.ndim - 1))
        return Target(self.values, self.observed & mask, self.weights)

    def to(self, device: torch.device | str) -> Target:
        """Return the target on ``device``."""
        weights = None if self.weights is None else self.weights.to(device)
        return Target(self.values.to(device), self.observed.to(device), weights)
