"""Which few units of one network say together what a unit of another does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError
from accord.linalg.lasso import lasso
from accord.merging.permuting.activation_matching import by_group, standardised
from accord.method import Method


@dataclass(frozen=True, eq=False)
class Prediction:
    """How units of one network are put together from those of another.

    Attributes:
        weights: ``[n, m]`` float64, most of them 0: of unit ``j`` of the second network in unit ``i`` of the first,
            both in standard deviations.
        unexplained: ``[n]``: the share of each unit's variance that this leaves, in [0, 1]; 0 for one that never
            varies.
    """

    weights: Tensor
    unexplained: Tensor

    def sources(self, unit: int) -> list[tuple[int, float]]:
        """Return the units of the second network that one of the first is made of, and their weights, largest first."""
        row = self.weights[unit]
        order = row.abs().argsort(descending=True, stable=True)[: int(row.count_nonzero())]
        return [(int(place), float(row[place])) for place in order]


class SparsePrediction:
    """Predict every unit of one network from as few units of another as will do: the one-to-many mapping.

    With all activations brought to mean 0 and variance 1, each unit ``y`` of the first network gets the weights
    ``argmin_w 1/2 mean (y - X w)^2 + penalty |w|_1`` of the second network's ``X``: the Lasso. Where one unit suffices,
    the networks hold the same features; where several do, they span the same space in other directions, and no
    permutation can bring their weights into one order.

    Cost: one product of ``[units, samples]`` with ``[samples, units]`` for each pair, then about 100 sweeps of ``m^2``
    operations per unit.

    Args:
        penalty: in (0, 1): where no correlation is above it, nothing is used; a unit that says just the same is weighed
            ``1 - penalty``.

    The authors find these weights by stochastic gradient descent with a decay of 0.1 and less, whose unit is that of a
    loss summed over places; here it is the solution itself, and the unit is a correlation.

    Source: Li et al., Convergent Learning: Do different neural networks learn the same representations?, 2016.
    """

    method: ClassVar[Method] = Method(
        title="Sparse prediction of units",
        paper="Convergent Learning: Do different neural networks learn the same representations?",
        year=2016,
        url="https://arxiv.org/abs/1511.07543",
        needs="data",
        cost="2 products and 1 Lasso per layer",
        catalogue=(370,),
    )

    def __init__(self, penalty: float = 0.1) -> None:
        if not 0 < penalty < 1:
            raise ConfigurationError(f"penalty lies between 0 and 1; got {penalty}")
        self.penalty = penalty

    def __call__(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, Prediction]:
        """Return how each group of the first network is made of the second's.

        Args:
            first: activations of the network that is predicted, ``[samples, n]``, by group.
            second: those of the other for the same inputs, ``[samples, m]``; see :func:`unit_activations`.

        Raises:
            DataError: a group is missing, or there are other numbers of samples.
            RunError: the penalty is too small for units that say the same.
        """
        pairs = by_group(first, second)
        return {group: self._predict(standardised(one), standardised(other)) for group, (one, other) in pairs.items()}

    def _predict(self, targets: Tensor, units: Tensor) -> Prediction:
        onto, gram = (units.T @ targets).numpy(), (units.T @ units).numpy()
        squares = targets.square().sum(0).numpy()
        weights = lasso(gram, onto, squares, self.penalty)
        left = squares - 2 * (weights * onto).sum(0) + (weights * (gram @ weights)).sum(0)
        return Prediction(torch.from_numpy(weights.T.copy()), torch.from_numpy(np.clip(left, 0.0, 1.0)))
