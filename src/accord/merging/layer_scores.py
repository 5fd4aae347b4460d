"""What a layer of a task vector is worth keeping for: scores out of inner products, and what they drop."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal

import numpy as np

from accord.errors import ConfigurationError
from accord.merging.gramians import Array
from accord.merging.selection import top

Score = Literal["relative", "distinct"]
# What is left of 1 after a subtraction is rounding, if it is less.
ROUNDING = 1e-12


def check_finite(found: Mapping[str, Array]) -> None:
    """Raise a :class:`ConfigurationError` that names a layer in which a length is not finite, and whose it is."""
    for layer, gramian in found.items():
        for row, square in enumerate(np.diag(gramian)):
            if not np.isfinite(square):
                whose = f"the task vector of model {row - 1}" if row else "the base"
                raise ConfigurationError(
                    f"{whose} has numbers in {layer} that are not finite, or too large to be squared, so that layers "
                    "cannot be ranked; mend that checkpoint, or merge without pruning"
                )


def scores_of(score: Score, found: Mapping[str, Array], place: int) -> dict[str, tuple[float, ...]]:
    """Return the score of each layer that a model changed, and what layers of equal score are ranked by.

    Args:
        score: which; see :class:`LayerPruning`.
        found: of each layer, inner products ``[1 + n, 1 + n]`` of the base and the task vectors.
        place: of the model, from 0 on.
    """
    changed = {layer: gramian for layer, gramian in found.items() if gramian[1 + place, 1 + place] > 0.0}
    lengths = {layer: relative(gramian, place) for layer, gramian in changed.items()}
    if score == "relative":
        return {layer: (length,) for layer, length in lengths.items()}
    return {layer: (distinct(gramian[1:, 1:], place), lengths[layer]) for layer, gramian in changed.items()}


def relative(gramian: Array, place: int) -> float:
    """Return the length of a task vector divided by the base's, from inner products ``[1 + n, 1 + n]``."""
    square, whole = float(gramian[1 + place, 1 + place]), float(gramian[0, 0])
    return math.sqrt(square / whole) if whole > 0.0 else math.inf


def distinct(gramian: Array, place: int) -> float:
    """Return the share of a vector outside the mean of the others, from their inner products ``[n, n]``."""
    own = float(gramian[place, place])
    others = [other for other in range(len(gramian)) if other != place]
    # Summed exactly, so that the order of the models plays no part.
    along = math.fsum(gramian[place, other] for other in others)
    whole = math.fsum(gramian[one, other] for one in others for other in others)
    if along <= 0.0 or whole <= 0.0:
        return 1.0
    left = 1.0 - along / own * (along / whole)
    return math.sqrt(left) if left > ROUNDING else 0.0


def lowest(scores: Mapping[str, tuple[float, ...]], keep: float) -> set[str]:
    """Return the layers that are dropped where the share ``keep`` is kept; of equal scores, those that stand last."""
    ranked = sorted(scores, key=scores.__getitem__, reverse=True)
    return set(ranked[top(keep, len(ranked)) :])


def in_order(name: str) -> list[str | int]:
    """Return what names are sorted by, in which layer 9 comes before layer 10."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
