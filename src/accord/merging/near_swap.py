"""Move the base's weights towards those of another model where the two are close."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.merging_method import MergingMethod
from accord.method import Method


class NearSwap(MergingMethod):
    """Go from the base towards one model by at most ``t`` in each entry.

    An entry moves by the share ``min(1, t / |model - base|)``: entries that differ by ``t`` or less become the model's,
    bit for bit, and all others move by exactly ``t``. Takes a base and one model. Cost: one pass.

    Args:
        t: how far an entry moves at most; 0 is the base. The author used 0.0001.

    Source: alchemonaut, QuartetAnemoi-70B-t0.0001, 2024 (a model card).
    """

    method: ClassVar[Method] = Method(
        title="NearSwap",
        paper="QuartetAnemoi-70B-t0.0001 (model card)",
        year=2024,
        url="https://huggingface.co/alchemonaut/QuartetAnemoi-70B-t0.0001",
        needs="parameters",
        cost="1 pass",
    )
    most: ClassVar[int | None] = 1

    def __init__(self, t: float = 1e-4) -> None:
        if not t >= 0.0:
            raise ConfigurationError(f"t is how far an entry moves at most, 0 or more; got {t}")
        self.t = t

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def combine(self, block: Block, found: Any) -> Tensor:
        delta = block.delta(0)
        near = torch.abs(delta, out=block.buffer("size")) <= self.t
        moved = delta.clamp_(-self.t, self.t).add_(block.base())
        # The difference, added again, may miss the model's own number by a rounding.
        return torch.where(near, block.model(0), moved, out=block.buffer("merged"))
