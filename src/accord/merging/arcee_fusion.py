"""Take over from a model what changed most where its rows say something else."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from accord.merging.block import Block
from accord.merging.merging_method import MergingMethod
from accord.merging.quantiles import Quantiles
from accord.merging.survey import Survey
from accord.method import Method

# Added to every share of a softmax before their logarithms are taken.
FLOOR = 1e-8
REACH = 1.5


class ArceeFusion(MergingMethod):
    """Take over those entries of one model that matter most, and leave the base in all others.

    The importance of an entry is the size of its change times how much its row changed: the Kullback-Leibler divergence
    of the softmax of the model's row from that of the base's. Entries at or above ``median + 1.5 (Q3 - Q1)`` of a
    tensor's importances are the model's, bit for bit, and the others the base's. A row is a run along the last
    dimension; a vector is one row.

    Cost: three passes. No option; it takes a base and one model.

    The divergences, of the order of the squared change, are worked out in float64. mergekit takes them in the
    checkpoints' own format, where for small changes rounding decides, and estimates the quartiles of large tensors from
    a random sample; here they are exact (the numbers of rank ``floor(q (n - 1))``). A row with numbers that are not
    finite has importance 0.

    Source: Arcee AI, Arcee Fusion in mergekit, 2025.
    """

    method: ClassVar[Method] = Method(
        title="Arcee Fusion",
        paper="Arcee Fusion, a method of mergekit",
        year=2025,
        url="https://github.com/arcee-ai/mergekit/blob/main/docs/merge_methods.md",
        needs="parameters",
        cost="3 passes",
    )
    most: ClassVar[int | None] = 1
    by_rows = True

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return Quantiles(quartiles, lambda block: [importance(block)])

    def combine(self, block: Block, found: Any) -> Tensor:
        ((low, middle, high),) = found
        taken = importance(block) >= torch.tensor(middle + REACH * (high - low), dtype=torch.float32)
        base = block.base()
        return torch.where(taken, block.model(0), base, out=block.buffer("merged"))


def importance(block: Block) -> Tensor:
    """Return the importances ``[length]`` of a block of whole rows, float32."""
    row = block.shape[-1] if block.shape else 1
    change = block.delta(0).abs_().view(-1, row).double()
    new, old = (
        (torch.softmax(values.view(-1, row).double(), dim=1) + FLOOR) for values in (block.model(0), block.base())
    )
    divergence = torch.sum(new * torch.log(new / old), dim=1, keepdim=True).clamp_(min=0.0)
    return change.mul_(divergence).view(-1).nan_to_num_(0.0, 0.0, 0.0).float()


def quartiles(count: int) -> list[int]:
    """Return the ranks of the quartiles of ``count`` numbers, 0 being the smallest."""
    return [int(share * (count - 1)) for share in (0.25, 0.5, 0.75)]
