"""Trim, elect signs, merge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor

from accord.errors import ConfigurationError, suggest
from accord.merging.at_once import MergesAtOnce
from accord.merging.block import Block
from accord.merging.compiled import Delta
from accord.merging.election import How, elect, trim
from accord.merging.gathering import gather_at_once
from accord.merging.merging_method import MergingMethod, per_model
from accord.merging.restoring import stretches, with_sizes
from accord.merging.selection import Thresholds, top
from accord.merging.survey import Survey
from accord.method import Method

TRIMS = ("model", "tensor")
DRAWS = {"none": 0.0, "positive": 1.0}


class TIES(MergingMethod, MergesAtOnce):
    """Keep the largest entries of each task vector, elect a sign for each entry, and average those that agree.

    1. *Trim*: of each task vector keep the ``density`` largest magnitudes, set the others to 0.
    2. *Elect*: an entry's sign is that of the sum of the trimmed task vectors.
    3. *Merge*: the mean, over the task vectors that are not 0 there and have that sign; times ``scale``.

    Cost: trimming the whole model takes two passes and a look at a sample before the merge; per tensor the same, while
    the tensor is at hand.

    Args:
        density: share that is kept, above 0 and at most 1, one for all models or one for each; rounded down to a whole
            number of entries, at least one. Entries as large as the smallest kept one are kept, too.
        trim: rank entries over the whole ``"model"``, as the paper does, or over each ``"tensor"``, as mergekit does.
        merge: ``"mean"``; ``"sum"``, as AdaMerging and FusionBench do it with a ``scale`` of about 0.3; or ``"max"``.
        scale: factor of the merged task vector.
        weights: factor of each task vector before the election; the mean is then a weighted one. 1 when left out.
        draw: the sign of an entry whose sum is exactly 0. By the paper's formula none, and the entry stays as in the
            base; mergekit elects ``"positive"``. The authors' code takes the sign of most entries of the model.
        rescale: enlarge what is kept of each task vector to the sum of magnitudes it had, over what was ranked
            together (mergekit's option; not in the paper). One pass more.

    One model at density 1 and scale 1 comes back. Where an infinity is the same in base and model nothing changes.

    Source: Yadav et al., TIES-Merging: Resolving Interference When Merging Models, 2023.
    """

    method: ClassVar[Method] = Method(
        title="TIES-Merging",
        paper="TIES-Merging: Resolving Interference When Merging Models",
        year=2023,
        url="https://arxiv.org/abs/2306.01708",
        needs="parameters",
        cost="2 passes and a sample",
    )

    stacks: ClassVar[int] = 2

    def __init__(
        self,
        density: Sequence[float] | float = 0.2,
        trim: Literal["model", "tensor"] = "model",
        merge: How = "mean",
        scale: float = 1.0,
        weights: Sequence[float] | float | None = None,
        draw: Literal["none", "positive"] = "none",
        rescale: bool = False,
    ) -> None:
        check_densities(density)
        chosen = (("trim", trim, TRIMS), ("merge", merge, get_args(How)), ("draw", draw, tuple(DRAWS)))
        for option, value, choices in chosen:
            if value not in choices:
                raise ConfigurationError(f"TIES has no {option} {value!r}. {suggest(str(value), choices)}")
        self.density = density
        self.trim: Literal["model", "tensor"] = trim
        self.merge: How = merge
        self.scale = scale
        self.weights = weights
        self.draw = draw
        self.rescale = rescale
        self.scope = trim

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        densities = per_model(self.density, models, 1.0, "density")
        if min(densities) == 1.0:
            return None
        ranks = [top(density, elements) for density in dict.fromkeys(densities)]
        thresholds = Thresholds(models, elements, ranks)
        return with_sizes(thresholds, self._trimmed) if self.rescale else thresholds

    def combine(self, block: Block, found: Any) -> Tensor:
        weights, least, factors, factor = block.once("factors", lambda: self._factors(block.count, found))
        deltas = block.deltas()
        for place, (delta, more) in enumerate(zip(deltas.rows, factors, strict=True)):
            if more != 1.0:  # what is below the least is so before it is enlarged
                trim(delta, least[place])
                delta.mul_(more)
        kept = [0.0 if more != 1.0 else bound for more, bound in zip(factors, least, strict=True)]
        merged = elect(block, deltas, self.merge, weights, DRAWS[self.draw], kept)
        return torch.add(block.base(), merged, alpha=factor, out=merged)

    def at_once(self, stretch: Block, found: Any) -> Tensor | None:
        if self.merge == "max":
            return None
        weights, least, factors, factor = stretch.once("factors", lambda: self._factors(stretch.count, found))
        each = zip(least, factors, weights, strict=True)
        deltas = [Delta(least=bound, factor=more, weight=abs(weight)) for bound, more, weight in each]
        return gather_at_once(stretch, "ties" if self.merge == "mean" else "ties_sum", deltas, factor, DRAWS[self.draw])

    def _factors(self, models: int, found: Any) -> tuple[list[float], list[float], list[float], float]:
        """Return weights, the least magnitudes that are kept, factors of what is kept, and that of the merged vector.

        Weights are in units of the first one, on which the mean does not depend, and then mostly 1.
        """
        bounds, sizes = found if self.rescale and found is not None else (found, None)
        weights = per_model(self.weights, models, 1.0, "weights")
        unit = weights[0] if weights[0] > 0 else 1.0
        weights = [weight / unit for weight in weights]
        more = [1.0] * models if sizes is None else stretches(sizes)
        factors = [weight * stretch for weight, stretch in zip(weights, more, strict=True)]
        return weights, self._least(models, bounds), factors, self.scale * (1.0 if self.merge == "mean" else unit)

    def _least(self, models: int, bounds: Any) -> list[float]:
        densities = per_model(self.density, models, 1.0, "density")
        ranks = list(dict.fromkeys(densities))
        return [0.0 if bounds is None else bounds[i][ranks.index(density)] for i, density in enumerate(densities)]

    def _trimmed(self, block: Block, bounds: Any) -> Sequence[Tensor]:
        deltas = block.deltas().rows
        for delta, bound in zip(deltas, self._least(block.count, bounds), strict=True):
            trim(delta, bound)
        return deltas


def magnitudes(block: Block, index: int, delta: Tensor | None = None) -> Tensor:
    """Return the magnitudes of a task vector ``[length]``."""
    return block.delta(index).abs_() if delta is None else torch.abs(delta, out=block.buffer("magnitude"))


def check_densities(density: Sequence[float] | float) -> None:
    """Check one density, or one for each model; see :func:`check_density`."""
    for each in [density] if isinstance(density, int | float) else density:
        check_density(each)


def check_density(density: float, option: str = "density") -> None:
    """Raise a :class:`ConfigurationError` unless ``density`` is a share above 0."""
    if not 0.0 < density <= 1.0:
        raise ConfigurationError(f"{option} is the share that is kept, above 0 and at most 1; got {density}")
