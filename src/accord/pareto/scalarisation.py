"""What a preference makes of several objectives: one number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

from accord.errors import ConfigurationError
from accord.method import Method


class Scalarisation(nn.Module, ABC):
    """Objectives ``[..., m]`` and a preference ``[..., m]`` -> the scalar ``[...]`` to minimise.

    Differentiable in both. Objectives are minimised and measured from the ideal point, so that 0 is the best that each
    could be; a preference is positive and sums to 1, and more of it means that its objective matters more.
    """

    method: ClassVar[Method]

    @abstractmethod
    def forward(self, objectives: Tensor, preference: Tensor) -> Tensor:
        """Return the scalar ``[...]``; leading dimensions are broadcast."""


def positive(name: str, value: float) -> float:
    """Return ``value``.

    Raises:
        ConfigurationError: it is not a finite number above 0.
    """
    if not 0.0 < value < float("inf"):
        raise ConfigurationError(f"{name} must be a finite number above 0; got {value}")
    return value


def weighted(objectives: Tensor, preference: Tensor, inverse: bool) -> Tensor:
    """Return ``w_i f_i``, or ``f_i / w_i`` if ``inverse``."""
    if not inverse:
        return preference * objectives
    # A preference of 0 would ask for an objective of exactly 0.
    return objectives / preference.clamp(min=torch.finfo(preference.dtype).eps)
