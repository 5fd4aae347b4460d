"""Task vectors without small entries and without those that lost the election of signs."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from accord.merging.learned.experts import Experts


def trimmed(experts: Experts, density: float) -> Experts:
    """Return experts whose task vectors are trimmed over the whole model and agree in sign, as TIES prepares them.

    Args:
        experts: whose vectors to trim.
        density: fraction of entries that each keeps; equal magnitudes at the threshold are all kept.
    """
    count = len(experts.tasks)
    bars = [_threshold(experts, place, density) for place in range(count)]
    deltas = {}
    for name, delta in experts.deltas.items():
        bar = torch.stack(bars).to(delta).reshape(-1, *[1] * (delta.dim() - 1))
        large = torch.where(delta.abs() >= bar, delta, 0)
        elected = large.sum(dim=0).sign()
        deltas[name] = torch.where(large.sign() == elected, large, 0)
    return replace(experts, deltas=deltas)


def _threshold(experts: Experts, place: int, density: float) -> Tensor:
    sizes = torch.cat([delta[place].abs().flatten() for delta in experts.deltas.values()])
    kept = max(round(density * len(sizes)), 1)
    return sizes.kthvalue(len(sizes) - kept + 1).values
