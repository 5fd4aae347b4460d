"""Numbers that stay in order because each is the one before plus something positive."""

from __future__ import annotations

import torch
from torch import Tensor


def inverse_softplus(values: Tensor) -> Tensor:
    """Return z with ``softplus(z) = values``, elementwise, for values above 0."""
    return values + torch.log(-torch.expm1(-values))
