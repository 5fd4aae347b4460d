"""Drop at random, small entries more often."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.merging.block import Block
from accord.merging.gathering import Merge, check_merge, gather
from accord.merging.merging_method import MergingMethod, per_model
from accord.merging.ties import magnitudes
from accord.method import Method

# Philox yields eight numbers of 32 bits per count.
PER_COUNT = 8
PLACE = np.uint64(32)  # bits of a place in its row


class DELLA(MergingMethod):
    """Drop entries of the task vectors at random, small ones more often (MagPrune), then elect signs and average.

    In each row of ``k`` entries the one of rank ``r`` (0 is the smallest magnitude, ``k - 1`` the largest) is kept with
    probability ``q = density - epsilon + 2 epsilon r / (k - 1)`` and divided by ``q``, else set to 0. Every task vector
    stays the same in expectation. Masks depend on ``seed``, the model's place and the tensor's name alone.

    Cost: one pass, in which every row is sorted.

    Args:
        density: mean probability of being kept, one for all models or one for each. At 1 everything is kept.
        epsilon: the largest entry of a row is kept with probability ``density + epsilon``, the smallest with
            ``density - epsilon``. The authors' code and mergekit count it so; the paper's epsilon is twice as large.
            At 0 this is DARE.
        merge: ``"ties"``, the mean over those that agree with the elected sign, as the paper does; ``"ties_sum"``,
            their sum; or ``"linear"``, the sum of the task vectors (mergekit's della_linear).
        scale: factor of the merged task vector.
        weights: factor of each task vector, before any election. 1 when left out.
        rescale: divide what is kept by its probability.
        seed: of the masks.

    A row is a run along the last dimension; vectors are one row. Magnitudes that are equal in float32 rank by place.

    Source: Deep, Bhardwaj and Poria, DELLA-Merging: Reducing Interference in Model Merging through Magnitude-Based
    Sampling, 2024.
    """

    method: ClassVar[Method] = Method(
        title="DELLA",
        paper="DELLA-Merging: Reducing Interference in Model Merging through Magnitude-Based Sampling",
        year=2024,
        url="https://arxiv.org/abs/2406.11617",
        needs="parameters",
        cost="1 pass, rows sorted",
    )
    by_rows = True

    stacks: ClassVar[int] = 2

    def __init__(
        self,
        density: Sequence[float] | float = 0.3,
        epsilon: Sequence[float] | float = 0.15,
        merge: Merge = "ties",
        scale: float = 1.0,
        weights: Sequence[float] | float | None = None,
        rescale: bool = True,
        seed: int = 0,
    ) -> None:
        check_merge(merge)
        models = max(1 if isinstance(option, int | float) else len(option) for option in (density, epsilon))
        densities, epsilons = (per_model(density, models, 1.0, "density"), per_model(epsilon, models, 0.0, "epsilon"))
        for pair in zip(densities, epsilons, strict=True):
            _check(*pair)
        self.density = density
        self.epsilon = epsilon
        self.merge: Merge = merge
        self.scale = scale
        self.weights = weights
        self.rescale = rescale
        self.seed = seed

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def combine(self, block: Block, found: Any) -> Tensor:
        weights = per_model(self.weights, block.count, 1.0, "weights")
        for index, weight in enumerate(weights):
            self._dropped(block, index).mul_(weight)
        return gather(block, block.stack(), self.merge, weights).mul_(self.scale).add_(block.base())

    def _dropped(self, block: Block, index: int) -> Tensor:
        density = per_model(self.density, block.count, 1.0, "density")[index]
        epsilon = per_model(self.epsilon, block.count, 0.0, "epsilon")[index]
        delta = block.delta(index)
        if density == 1.0:
            return delta
        row = block.shape[-1] if block.shape else 1
        order = by_size(magnitudes(block, index, delta).view(-1, row))
        chances = torch.linspace(density - epsilon, density + epsilon, row) if row > 1 else torch.tensor([density])
        chance = block.buffer("chance", torch.float32).view(-1, row).scatter_(1, order, chances.expand(order.shape))
        lost = uniform(self.seed, block.name, index, block.start, block.length) >= chance.view(-1).numpy()
        delta.masked_fill_(torch.from_numpy(lost), 0.0)
        return delta.div_(chance.view(-1)) if self.rescale else delta


def by_size(sizes: Tensor) -> Tensor:
    """Return the places of each row's entries ``[n, k]`` by rising magnitude, those equal in float32 by place.

    Bits of numbers that are not negative are ordered as the numbers are. With the place below them they are sorted in a
    tenth of the time that sorting places by magnitude takes.
    """
    keys = sizes.float().view(torch.int32).numpy().astype(np.uint64)
    keys <<= PLACE
    keys |= np.arange(sizes.shape[1], dtype=np.uint64)
    keys.sort(axis=1)
    keys &= np.uint64((1 << int(PLACE)) - 1)
    return torch.from_numpy(keys.view(np.int64))


def _check(density: float, epsilon: float) -> None:
    if density != 1.0 and (not 0.0 <= epsilon < density or density + epsilon > 1.0):
        raise ConfigurationError(
            "probabilities run from density - epsilon, above 0, to density + epsilon, at most 1; got "
            f"density={density} and epsilon={epsilon}"
        )


def uniform(seed: int, name: str, stream: int, start: int, length: int) -> npt.NDArray[np.float32]:
    """Return ``[length]`` numbers in [0, 1) that belong to the elements from ``start`` on, whatever the block.

    Each element has its own place in a counter-based stream whose key is a hash of the seed, the name and the stream.
    They are multiples of 2^-24, which float32 holds exactly.
    """
    key = hashlib.sha256(f"della\0{seed}\0{stream}\0{name}".encode()).digest()[:16]
    philox = np.random.Philox(key=np.frombuffer(key, np.uint64), counter=start // PER_COUNT)
    skipped = start % PER_COUNT
    words = -(-(skipped + length) // PER_COUNT) * PER_COUNT // 2
    bits = philox.random_raw(words).astype("<u8", copy=False).view(np.uint32)[skipped : skipped + length]
    return (bits >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)
