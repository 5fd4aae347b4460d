"""The point of the sphere that is nearest to all models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from accord.merging.combination import Array, Combination
from accord.merging.gramians import GramianSurvey
from accord.merging.multi_slerp import shares
from accord.merging.sphere import spherical_mean
from accord.merging.survey import Survey
from accord.method import Method

STEPS = 500


class KarcherMean(Combination):
    """Take the point on the sphere with the least sum of squared arcs to all models, tensor by tensor.

    The direction is the Karcher (Riemannian) mean of the flattened tensors' directions, found by gradient steps to
    1e-12; its length is the weighted mean of the tensors' lengths. It is what SLERP at one half is for two models, and
    depends on no order.

    Cost: two passes, the first with ``n (n + 1) / 2`` inner products per tensor. The steps work on the Gramian alone,
    so that hundreds cost nothing: mergekit stops after 10, or at 1e-5.

    Args:
        weights: one for each model; equal ones when left out. They are divided by their sum.

    A tensor of zeros has no direction and counts for the length only; mergekit counts it so, too. Directions that
    cancel out, where no mean is better than another, give the weighted mean of the tensors; mergekit gives the first
    model's.

    Source: Karcher, Riemannian center of mass and mollifier smoothing, 1977; on whole tensors as in mergekit.
    """

    method: ClassVar[Method] = Method(
        title="Karcher mean",
        paper="Riemannian center of mass and mollifier smoothing",
        year=1977,
        url="https://doi.org/10.1002/cpa.3160300502",
        needs="parameters",
        cost="2 passes",
    )
    base: ClassVar[Literal["needed", "optional", "unused"]] = "unused"

    def __init__(self, weights: Sequence[float] | float | None = None) -> None:
        self.weights = weights

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return None if models == 1 else GramianSurvey(models, "models")

    def coefficients(self, models: int, based: bool, gramian: Array | None) -> Sequence[float]:
        weights = shares(self.weights, models)
        if gramian is None:
            return [0.0, *weights]
        return [0.0, *spherical_mean(gramian, weights, STEPS).tolist()]
