"""Labels as whole numbers, for affinities that need no model."""

from __future__ import annotations

import torch
from torch import Tensor

from accord.grouping.watch import sample
from accord.tasks import Target
from accord.training.prepare import Prepared

ROWS = 4096
BINS = 8


def label_codes(prepared: Prepared, seed: int) -> Tensor:
    """Return ``[T, N]`` int64 labels of up to 4,096 training rows, -1 where missing; numbers are cut into quantiles."""
    rows = sample(prepared.parts["train"], seed, ROWS)
    return torch.stack([codes(target.take(rows)) for target in prepared.targets])


def codes(target: Target) -> Tensor:
    """Return ``[N]`` whole numbers; several labels of one task are one number by which of them are set."""
    values, observed = target.values, target.observed
    if values.ndim > 1:
        bits = 2 ** torch.arange(values.shape[1]).clamp_max(40)
        return torch.where(observed.any(1), ((values > 0.5) * bits).sum(1), -1)
    if values.is_floating_point():
        known = values[observed].double()
        distinct = known.unique()
        if len(distinct) > BINS:
            distinct = torch.quantile(known, torch.linspace(0, 1, BINS + 1, dtype=torch.float64)[1:-1]).unique()
        values = torch.bucketize(values.double(), distinct)
    return torch.where(observed, values.long(), -1)
