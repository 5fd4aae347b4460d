"""What the parameters that recipes have, which are mergekit's, mean for our methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accord.errors import ConfigurationError
from accord.merging.breadcrumbs import check_gammas
from accord.merging.merging_method import MergingMethod, divisor
from accord.registry import build


@dataclass(frozen=True, slots=True)
class Values:
    """Parameters of a method for one tensor.

    Attributes:
        shared: those of the merge.
        each: those of each model.
        seed: of random masks.
    """

    shared: Mapping[str, Any]
    each: Sequence[Mapping[str, Any]]
    seed: int

    def each_of(self, name: str) -> list[Any]:
        """Return one parameter of all models."""
        return [model[name] for model in self.each]


Make = Callable[[Values], MergingMethod]


def _method(name: str, **options: Any) -> MergingMethod:
    return build(name, options, rooms=("merging",))


def _scaled(values: Values) -> list[float]:
    """Return the models' weights times lambda, divided by their sum where that is asked for."""
    weights = values.each_of("weight")
    total = sum(weights) if values.shared["normalize"] else 1.0
    return [values.shared["lambda"] * weight / (total if abs(total) >= 1e-8 else 1.0) for weight in weights]


def _kept(values: Values, weights: list[float]) -> tuple[list[float], list[float]]:
    """Return densities and weights; a model of which nothing is kept, as gradients down to 0 have it, has no weight."""
    densities = values.each_of("density")
    none = [density == 0.0 for density in densities]
    return (
        [1.0 if drop else density for density, drop in zip(densities, none, strict=True)],
        [0.0 if drop else weight for weight, drop in zip(weights, none, strict=True)],
    )


def _exactly(count: int, values: Values, name: str) -> list[Mapping[str, Any]]:
    if len(values.each) != count:
        what = "one model" if count == 1 else f"{count} models"
        raise ConfigurationError(f"{name} takes exactly {what}, besides a base; it was given {len(values.each)}")
    return list(values.each)


def _divisible(values: Values, normalised: bool, way_out: str) -> list[float]:
    weights = values.each_of("weight")
    if normalised:
        divisor(weights, way_out)
    return weights


def linear(values: Values) -> MergingMethod:
    """A weighted mean, or a sum."""
    normalised = values.shared["normalize"]
    weights = _divisible(values, normalised, "give others, or normalize: false")
    return _method("linear", weights=weights, normalise=normalised)


def task_arithmetic(values: Values) -> MergingMethod:
    """Task vectors, added up."""
    return _method("task_arithmetic", scale=_scaled(values))


def ties(values: Values) -> MergingMethod:
    """Trimming by tensor, and an election in which ties are positive."""
    densities, weights = _kept(values, values.each_of("weight"))
    return _method(
        "ties",
        density=densities,
        trim="tensor",
        merge="mean" if values.shared["normalize"] else "sum",
        scale=values.shared["lambda"],
        weights=weights,
        draw="positive",
        rescale=values.shared["rescale"],
    )


def dare(elect: bool) -> Make:
    """Drop and rescale, then a sum or an election."""

    def make(values: Values) -> MergingMethod:
        densities, agreement = _agreement(values, elect)
        options = {"density": densities, "rescale": values.shared["rescale"], "seed": values.seed}
        return _method("dare", **options, **agreement)

    return make


def della(elect: bool) -> Make:
    """Drop by magnitude and rescale, then a sum or an election."""

    def make(values: Values) -> MergingMethod:
        densities, agreement = _agreement(values, elect)
        # At density 1 nothing is dropped, whatever epsilon is.
        spreads = [0.0 if d >= 1.0 else e for d, e in zip(densities, values.each_of("epsilon"), strict=True)]
        options: dict[str, Any] = {"density": densities, "epsilon": spreads}
        options |= {"rescale": values.shared["rescale"], "seed": values.seed}
        return _method("della", **options, **agreement)

    return make


def breadcrumbs(elect: bool) -> Make:
    """Both ends cut off, then a sum or an election."""

    def make(values: Values) -> MergingMethod:
        densities, agreement = _agreement(values, elect)
        check_gammas(values.each_of("gamma"))
        # mergekit keeps the density and gives up outliers for it.
        gammas = [min(gamma, 1.0 - density) for gamma, density in zip(values.each_of("gamma"), densities, strict=True)]
        options = {"density": densities, "gamma": gammas, "rescale": values.shared["rescale"]}
        return _method("breadcrumbs", trim="tensor", **options, **agreement)

    return make


def _agreement(values: Values, elect: bool) -> tuple[list[float], dict[str, Any]]:
    """Return densities, and how task vectors are put together."""
    if not elect:
        densities, weights = _kept(values, _scaled(values))
        return densities, {"merge": "linear", "scale": 1.0, "weights": weights}
    densities, weights = _kept(values, values.each_of("weight"))
    merge = "ties" if values.shared["normalize"] else "ties_sum"
    return densities, {"merge": merge, "scale": values.shared["lambda"], "weights": weights}


def slerp(values: Values) -> MergingMethod:
    """The arc from the base to the other model."""
    return _method("slerp", t=values.shared["t"])


def nuslerp(values: Values) -> MergingMethod:
    """The arc between two models or task vectors."""
    first, second = (model["weight"] for model in _exactly(2, values, "nuslerp"))
    total = first + second
    # What is called row-wise runs along the first dimension in mergekit's code, with which models were merged.
    by = "tensor" if values.shared["nuslerp_flatten"] else "column" if values.shared["nuslerp_row_wise"] else "row"
    return _method("nu_slerp", t=0.5 if abs(total) < 1e-6 else second / total, by=by)


def multislerp(values: Values) -> MergingMethod:
    """The mean on the sphere, in one step."""
    weights = _divisible(values, True, "directions cannot be averaged so; give others")
    options = {"weights": weights, "normalise": values.shared["normalize_weights"]}
    return _method("multi_slerp", tangent="projection", **options)


def karcher(_: Values) -> MergingMethod:
    """The mean on the sphere."""
    return _method("karcher_mean")


def passthrough(values: Values) -> MergingMethod:
    """One model as it is, or scaled."""
    (model,) = _exactly(1, values, "passthrough")
    return _method("passthrough", scale=1.0 if model["scale"] is None else model["scale"])


def model_stock(values: Values) -> MergingMethod:
    """Interpolation by the angle between models."""
    return _method("model_stock", by="row" if values.shared["filter_wise"] else "tensor")


def sce(values: Values) -> MergingMethod:
    """Select, calculate, erase."""
    if values.shared["select_topk"] == 0.0:
        return _method("task_arithmetic", scale=0.0)
    return _method("sce", density=values.shared["select_topk"])


def ram(values: Values) -> MergingMethod:
    """Shared changes averaged, others kept."""
    return _method("ram", threshold=values.shared["epsilon"])


def ramplus_tl(values: Values) -> MergingMethod:
    """The same, with what is a model's own enlarged by counts of each tensor."""
    options = {"rescale": values.shared["r"], "limit": values.shared["alpha"], "threshold": values.shared["epsilon"]}
    return _method("ram", count="tensor", **options)


def arcee_fusion(_: Values) -> MergingMethod:
    """What matters most of the other model."""
    return _method("arcee_fusion")


def near_swap(values: Values) -> MergingMethod:
    """At most t in each entry."""
    return _method("near_swap", t=values.shared["t"])
