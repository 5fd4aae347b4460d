"""Linear layers that answer as all models did, in the sense of least squares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from accord.errors import ConfigurationError, DataError
from accord.merging.block import Block
from accord.merging.learned.statistics import Statistics, check_statistics
from accord.merging.merging_method import MergingMethod
from accord.method import Method

# Directions in which the summed inputs have less than this part of their largest square say nothing.
FAINT = 1e-10


class RegMean(MergingMethod):
    """Choose each linear layer to minimise ``sum_i |X_i W' - X_i W_i'|^2``; average everything else.

    The solution needs only ``G_i = X_i' X_i`` of each model's inputs, see :func:`input_gramians`:
    ``W = (sum_i W_i G_i) (sum_i G_i)^-1``. Off-diagonal entries of ``G_i`` are first multiplied by ``alpha``. In
    directions that no input has, in which the published formula divides by 0, it is the average.

    Cost: one pass with ``n in`` products per entry; before, an eigendecomposition per layer, ``O(in^3)``, and
    ``n in^2`` numbers of memory per layer.

    Args:
        statistics: one for each model, in order, all of the same layers.
        alpha: in [0, 1]; the paper takes 0.9, other implementations 0.95 for CLIP and 0.6 for GPT-2.

    Source: Jin et al., Dataless Knowledge Fusion by Merging Weights of Language Models, 2023.
    """

    method: ClassVar[Method] = Method(
        title="RegMean",
        paper="Dataless Knowledge Fusion by Merging Weights of Language Models",
        year=2023,
        url="https://arxiv.org/abs/2212.09849",
        needs="data",
        cost="1 pass and O(in^3) per layer, and a forward per sample before",
    )
    base: ClassVar[Literal["needed", "optional", "unused"]] = "unused"
    by_rows = True

    def __init__(self, statistics: Sequence[Statistics | Mapping[str, Tensor]], alpha: float = 0.9) -> None:
        if not 0 <= alpha <= 1:
            raise ConfigurationError(f"alpha must lie in [0, 1]; got {alpha}")
        self.statistics = check_statistics(statistics, "gramian")
        self.alpha = alpha
        self._mixers = {name: self._mix(name) for name in self.statistics[0]}

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def combine(self, block: Block, found: Any) -> Tensor:
        check_statistics(self.statistics, "gramian", block.count)
        merged = block.buffer("merged")
        if block.count == 1:
            return merged.copy_(block.model(0))
        merged.zero_()
        mixers = self._mixers.get(block.name)
        for index in range(block.count):
            if mixers is None:
                merged.add_(block.model(index), alpha=1 / block.count)
            else:
                width = self._width(block, len(mixers[index]))
                rows = block.model(index).view(-1, width)
                merged.view(-1, width).addmm_(rows, mixers[index].to(rows.dtype))
        return merged

    def _mix(self, name: str) -> list[Tensor]:
        """Return ``G_i (sum G)^-1`` of every model, so that a row of the result is a sum of rows times these."""
        parts = [self._softened(one, name, index) for index, one in enumerate(self.statistics)]
        values, vectors = torch.linalg.eigh(sum(parts, start=torch.zeros_like(parts[0])))
        seen = values > FAINT * values[-1].clamp(min=0)
        inverse = (vectors[:, seen] / values[seen]) @ vectors[:, seen].T
        blind = vectors[:, ~seen] @ vectors[:, ~seen].T
        return [part @ inverse + blind / len(parts) for part in parts]

    def _softened(self, known: Mapping[str, Tensor], name: str, index: int) -> Tensor:
        if name not in known:
            raise DataError(f"the statistics of model {index} say nothing of {name}, those of model 0 do")
        gramian = known[name].double()
        if gramian.dim() != 2 or gramian.shape[0] != gramian.shape[1] or not torch.isfinite(gramian).all():
            raise DataError(f"the statistics of model {index} for {name} are no finite square matrix")
        return self.alpha * gramian + (1 - self.alpha) * gramian.diag().diag()

    def _width(self, block: Block, width: int) -> int:
        if len(block.shape) != 2 or block.shape[-1] != width:
            raise DataError(
                f"{block.name} is {list(block.shape)}, the statistics are of {width} inputs: they are another model's"
            )
        return width
