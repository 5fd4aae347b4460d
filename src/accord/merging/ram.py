"""Average what several models changed, and keep what only one of them did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.accumulate import Array, Totals
from accord.merging.block import Block, Stack
from accord.merging.election import total
from accord.merging.merging_method import MergingMethod
from accord.merging.survey import Survey
from accord.method import Method


class RAM(MergingMethod):
    """Add the mean of the changes where several models changed an entry, and the whole change where only one did.

    Reinforcement learning changes few entries, each task others of its own: a mean over all models, most of which have
    nothing there, would shrink what is one model's alone. An entry counts as changed by more than ``threshold``.

    With ``rescale`` this is RAM+: what a model changed alone is enlarged by
    ``1 + rescale * min(shared / alone, limit)``, from how many of the entries it changed others changed, too, and how
    many did not. It makes up for what the averages take from that model.

    Cost: one pass; with ``rescale`` two.

    Args:
        threshold: the largest change that counts as none, in units of the weights; 0 or more.
        rescale: what as many shared entries as own ones add to the factor; 0 or more. For RAM+ the authors' script
            takes 0.05 and mergekit 0.1.
        limit: where the ratio is cut off, 0 or more. The authors' script cuts at 1, mergekit at 0.2.
        count: entries over the whole ``"model"``, as the authors do, or over each ``"tensor"``, as mergekit's
            ramplus_tl does.
        scale: factor of the merged task vector.

    One model at threshold 0 and scale 1 comes back. The threshold is absolute, as the authors': weights below 0.001 can
    change by more than one rounding of bfloat16 without passing the default.

    Source: Yuan et al., Behavior Knowledge Merge in Reinforced Agentic Models, 2026, and the authors' script
    ``ram-main.py`` (modes ``arm`` and ``arm-r-v2``).
    """

    method: ClassVar[Method] = Method(
        title="Reinforced Agent Merging",
        paper="Behavior Knowledge Merge in Reinforced Agentic Models",
        year=2026,
        url="https://arxiv.org/abs/2601.13572",
        needs="parameters",
        cost="1 pass, with rescale 2",
    )

    stacks: ClassVar[int] = 2

    def __init__(
        self,
        threshold: float = 1e-5,
        rescale: float = 0.0,
        limit: float = 1.0,
        count: Literal["model", "tensor"] = "model",
        scale: float = 1.0,
    ) -> None:
        if not threshold >= 0.0 or not rescale >= 0.0:
            raise ConfigurationError(f"threshold and rescale are 0 or more; got {threshold} and {rescale}")
        if not limit >= 0.0:
            raise ConfigurationError(f"limit cuts off the ratio of shared to own changes, 0 or more; got {limit}")
        if count not in ("model", "tensor"):
            raise ConfigurationError(f"count is 'model' or 'tensor'; got {count!r}")
        self.threshold = threshold
        self.rescale = rescale
        self.limit = limit
        self.count: Literal["model", "tensor"] = count
        self.scale = scale
        self.scope = count

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return Totals(self._counted) if self.rescale and models > 1 else None

    def combine(self, block: Block, found: Any) -> Tensor:
        changes, users = self._changes(block)
        merged = total(changes.rows, block.buffer("merged"))
        merged.div_(torch.clamp_min(users, 1.0, out=block.buffer("parts")))
        if found is not None:
            alone = torch.eq(users, 1.0, out=block.buffer("alone"))
            for change, factor in zip(changes.rows, self._factors(found), strict=True):
                merged.addcmul_(change, alone, value=factor)
        return torch.add(block.base(), merged, alpha=self.scale, out=merged)

    def _changes(self, block: Block) -> tuple[Stack, Tensor]:
        """Return the task vectors with 0 for what is no change ``[n, length]``, and how many have one ``[length]``."""
        changes, flags = block.deltas(), block.stack("flags")
        # NaN is neither below nor above: it stays, so that it is seen in the result.
        torch.hardshrink(changes.whole, self.threshold, out=changes.whole)
        torch.ne(changes.whole, 0.0, out=flags.whole)
        return changes, total(flags.rows, block.buffer("users"))

    def _counted(self, block: Block) -> Array:
        """Return how many entries each model changed alone, then how many it shares, ``[2 n]``."""
        _, users = self._changes(block)
        flags = block.stack("flags").whole
        # A block is short enough for float32 to count exactly.
        changed = flags.sum(1)
        alone = torch.mv(flags, torch.eq(users, 1.0, out=block.buffer("alone")))
        return torch.cat([alone, changed - alone]).double().numpy()

    def _factors(self, counts: Array) -> Sequence[float]:
        """Return by how much more than 1 each model's own changes count."""
        alone, shared = np.split(counts, 2)
        ratios = np.divide(shared, alone, out=np.zeros_like(alone), where=alone > 0)
        return (self.rescale * np.minimum(ratios, self.limit)).tolist()
