"""Find which unit of one network does what a unit of another does, from what they say of the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from accord.errors import DataError
from accord.merging.permuting.groups import Order
from accord.merging.permuting.weight_matching import assign
from accord.method import Method

# Units whose activations vary less than this share of the liveliest unit's do not vary.
SILENT = 1e-12


class ActivationMatching:
    """Match units one to one so that the correlations between their activations are largest in sum.

    ``ActivationMatching()(first, second)`` returns the order of each group for :meth:`Groups.permute`, which brings the
    second network into the order of the first. Other than weights, activations take some inputs, of any task.

    Cost: one product of ``[units, samples]`` with ``[samples, units]`` and an assignment per group.

    Units that never change (standard deviation 0) correlate with nothing and take what places are left.

    Source: Li et al., Convergent Learning: Do different neural networks learn the same representations?, 2016.
    """

    method: ClassVar[Method] = Method(
        title="Activation matching",
        paper="Convergent Learning: Do different neural networks learn the same representations?",
        year=2016,
        url="https://arxiv.org/abs/1511.07543",
        needs="data",
        cost="1 product and 1 assignment per layer",
        catalogue=(370,),
    )

    def __call__(self, first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> Order:
        """Return the order of each group.

        Args:
            first: activations of the reference, ``[samples, units]``, by group.
            second: those of the other network for the same inputs; of convolutions, with places among the samples.

        Raises:
            DataError: a group is missing, or the shapes differ.
        """
        pairs = by_group(first, second)
        for group, (one, other) in pairs.items():
            if one.shape != other.shape:
                raise DataError(
                    f"{group!r} has {one.shape[1]} units and {other.shape[1]}; one to one needs as many in both"
                )
        return {group: torch.from_numpy(assign(correlations(*pair).numpy())) for group, pair in pairs.items()}


def by_group(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """Return the activations of both networks by group.

    Raises:
        DataError: a group is missing, or they are not ``[samples, units]`` of as many samples.
    """
    for group, activations in first.items():
        other = second.get(group)
        if other is None or activations.ndim != 2 or other.ndim != 2 or len(activations) != len(other):
            found = "missing" if other is None else list(other.shape)
            raise DataError(
                f"activations of {group!r} are {list(activations.shape)} and {found}; both must be [samples, units]"
            )
    return {group: (activations, second[group]) for group, activations in first.items()}


def correlations(first: Tensor, second: Tensor) -> Tensor:
    """Return the correlations ``[n, m]`` of units' activations ``[samples, units]``, float64; 0 for none."""
    return standardised(first).T @ standardised(second)


def standardised(activations: Tensor) -> Tensor:
    """Return ``[samples, units]`` of mean 0 and length 1, float64; 0 for units that do not vary."""
    centred = activations.detach().cpu().double()
    centred = centred - centred.mean(0)
    length = centred.norm(dim=0)
    return torch.where(length > SILENT * length.max(), centred / length, 0.0)
