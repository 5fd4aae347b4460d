"""Let the entries of task vectors compete, within a task and between tasks."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.accumulate import Chain
from accord.merging.block import Block
from accord.merging.merging_method import MergingMethod
from accord.merging.selection import Thresholds, top
from accord.merging.survey import Survey
from accord.merging.ties import check_density, magnitudes
from accord.method import Method

# The share of largest magnitudes that are cut down to the next one, so that outliers do not set the scale.
TAIL = 1e-4


class PCB(MergingMethod):
    """Weigh every entry of every task vector by its size in the task and its agreement with the others.

    1. *Within a task*: ``exp(n s^2)``, with ``s`` the magnitude over the largest (0.01 % of outliers are cut down to
    it).
    2. *Between tasks*: ``tanh(tau_i sum_j tau_j)``.
    3. The ``density`` entries with the largest product keep a weight, from 0 for the least of them to 1 for the
    largest.
    4. The merged task vector is the weighted mean of the task vectors, times ``scale``.

    Cost: two searches for ranks, each a sample and one or two passes, before the merge. Each pass reads every task
    vector once for every task.

    Args:
        density: share of each task vector that keeps a weight; 0.05 to 0.1 in the paper. At 1 every one above 0 does.
        scale: factor of the merged task vector. The authors take about 1.2, or search one per task with data.
        trim: entries compete over the whole ``"model"``, as in the paper, or over each ``"tensor"``.

    The definition is that of the authors' released code: their paper has softmaxes, of which this leaves out factors
    that cancel, and differs in the second step. An entry against the sum of all tasks, whose product is negative,
    never keeps a weight, and the smallest magnitude counts as 0; both differ from that code in degenerate cases only.

    Source: Du et al., Parameter Competition Balancing for Model Merging, 2024.
    """

    method: ClassVar[Method] = Method(
        title="PCB-Merging",
        paper="Parameter Competition Balancing for Model Merging",
        year=2024,
        url="https://arxiv.org/abs/2410.02396",
        needs="parameters",
        cost="4 passes and 2 samples",
    )

    def __init__(self, density: float = 0.1, scale: float = 1.2, trim: Literal["model", "tensor"] = "model") -> None:
        check_density(density)
        if trim not in ("model", "tensor"):
            raise ConfigurationError(f"trim is 'model' or 'tensor'; got {trim!r}")
        self.density = density
        self.scale = scale
        self.trim: Literal["model", "tensor"] = trim
        self.scope = trim

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        tail = int(TAIL * elements) + 1
        ranks = [1, top(self.density, elements)]

        def scores(found: list[Any]) -> Survey:
            sizes = [each[0] for each in found[0]]
            return Thresholds(
                models, elements, ranks, lambda block: (score(block, index, size) for index, size in enumerate(sizes))
            )

        first = Thresholds(models, elements, [tail])
        return Chain(first, scores, later_bytes=2 * first.bytes)

    def combine(self, block: Block, found: Any) -> Tensor:
        merged, total = block.buffer("merged").zero_(), block.buffer("total").zero_()
        for index, ((size,), (most, least)) in enumerate(zip(*found, strict=True)):
            weight = score(block, index, size)
            lost = (weight < least) | (weight <= 0)
            # With nothing between the least and the largest all that is kept counts alike.
            weight = weight.sub_(least).div_(most - least) if most > least else weight.fill_(1.0)
            weight.masked_fill_(lost, 0.0).clamp_(max=1.0)
            delta = block.delta(index)
            merged.addcmul_(weight, delta.clamp_(-size, size) if size else delta)
            total.add_(weight)
        return merged.div_(total.clamp_(min=1e-12)).mul_(self.scale).add_(block.base())


def score(block: Block, index: int, size: float) -> Tensor:
    """Return the scores of a task's entries ``[length]``, in a buffer; 0 where they point against the sum."""
    joint = block.buffer("joint").zero_()
    for other in range(block.count):
        joint.add_(block.delta(other))
    delta = block.delta(index)
    between = torch.mul(delta, joint, out=block.buffer("score")).tanh_().clamp_(min=0.0)
    if not size:
        return between
    within = magnitudes(block, index, delta).div_(size).clamp_(max=1.0).square_()
    # exp(n (s^2 - 1)): a factor that all entries share cancels, and this one keeps the numbers small.
    return between.mul_(within.sub_(1.0).mul_(block.count).exp_())
