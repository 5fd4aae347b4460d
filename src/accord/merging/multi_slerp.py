"""Spherical interpolation between any number of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np

from accord.errors import ConfigurationError
from accord.merging.combination import Array, Combination
from accord.merging.gramians import GramianSurvey
from accord.merging.merging_method import divisor, per_model
from accord.merging.sphere import spherical_mean
from accord.merging.survey import Survey
from accord.method import Method


class MultiSLERP(Combination):
    """Interpolate between any number of models on the sphere, tensor by tensor, in one step.

    The directions of the flattened tensors are lifted into the tangent space at their normalised weighted mean,
    averaged there, and brought back to the sphere; the result is as long as the weighted mean of the tensors' lengths.
    Two models of equal weights lie on their arc's middle, as with SLERP. With a base this is done to the task vectors.

    Cost: two passes, the first with ``n (n + 1) / 2`` inner products per tensor.

    Args:
        weights: one for each model; equal ones when left out. Their sum is not 0.
        tangent: ``"logarithm"`` keeps angles, so that nothing is left to be gained for two models. With
            ``"projection"``, the straight projection that mergekit takes, the mean in the tangent space is 0 by
            construction, and the result is the normalised weighted mean.
        normalise: whether the result is as long as the mean. Without it the direction is the same, and the length is
            the mean's times the magnitude of the weights' sum.

    A tensor of zeros has no direction; directions that cancel out give the weighted mean of the tensors.

    Source: Buss and Fillmore, Spherical averages and applications to spherical splines and interpolation, 2001; on
    whole tensors as in mergekit.
    """

    method: ClassVar[Method] = Method(
        title="Multi-SLERP",
        paper="Spherical averages and applications to spherical splines and interpolation",
        year=2001,
        url="https://doi.org/10.1145/502122.502124",
        needs="parameters",
        cost="2 passes",
    )
    base: ClassVar[Literal["needed", "optional", "unused"]] = "optional"

    def __init__(
        self,
        weights: Sequence[float] | float | None = None,
        tangent: Literal["logarithm", "projection"] = "logarithm",
        normalise: bool = True,
    ) -> None:
        if tangent not in ("logarithm", "projection"):
            raise ConfigurationError(f"tangent is 'logarithm' or 'projection'; got {tangent!r}")
        self.weights = weights
        self.tangent: Literal["logarithm", "projection"] = tangent
        self.normalise = normalise

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return None if models == 1 else GramianSurvey(models, "deltas" if based else "models")

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        weights = shares(self.weights, models)
        if gramian is not None:
            weights = spherical_mean(gramian, weights, 1 if self.tangent == "logarithm" else 0).tolist()
        if not self.normalise:
            length = abs(sum(per_model(self.weights, models, 1.0, "weights")))
            weights = [length * weight for weight in weights]
        return [1.0 - float(np.sum(weights)) if based else 0.0, *weights]


def shares(weights: Sequence[float] | float | None, models: int) -> list[float]:
    """Return weights that sum to 1.

    Raises:
        ConfigurationError: they sum to 0, or do not fit the models.
    """
    values = per_model(weights, models, 1.0, "weights")
    total = divisor(values)
    return [value / total for value in values]
