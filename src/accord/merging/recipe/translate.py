"""What the parameters that recipes have, which are mergekit's, mean for our methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accord.errors import ConfigurationError
from accord.merging.merging_method import MergingMethod
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


def _no_rescale(values: Values, name: str) -> None:
    if values.shared["rescale"]:
        raise ConfigurationError(f"{name} rescales nothing here; leave rescale out, or use dare_ties or della")


def linear(values: Values) -> MergingMethod:
    """A weighted mean, or a sum."""
    return _method("linear", weights=values.each_of("weight"), normalise=values.shared["normalize"])


def task_arithmetic(values: Values) -> MergingMethod:
    """Task vectors, added up."""
    _no_rescale(values, "task_arithmetic")
    return _method("task_arithmetic", scale=_scaled(values))


def ties(values: Values) -> MergingMethod:
    """Trimming by tensor, and an election in which ties are positive."""
    _no_rescale(values, "ties")
    return _method(
        "ties",
        density=values.each_of("density"),
        trim="tensor",
        merge="mean" if values.shared["normalize"] else "sum",
        scale=values.shared["lambda"],
        weights=values.each_of("weight"),
        draw="positive",
    )


def dare(elect: bool) -> Make:
    """Drop and rescale, then a sum or an election."""

    def make(values: Values) -> MergingMethod:
        options = {"density": values.each_of("density"), "rescale": values.shared["rescale"], "seed": values.seed}
        return _method("dare", **options, **_agreement(values, elect))

    return make


def della(elect: bool) -> Make:
    """Drop by magnitude and rescale, then a sum or an election."""

    def make(values: Values) -> MergingMethod:
        densities = values.each_of("density")
        # At density 1 nothing is dropped, whatever epsilon is.
        spreads = [0.0 if d >= 1.0 else e for d, e in zip(densities, values.each_of("epsilon"), strict=True)]
        options: dict[str, Any] = {"density": densities, "epsilon": spreads}
        options |= {"rescale": values.shared["rescale"], "seed": values.seed}
        return _method("della", **options, **_agreement(values, elect))

    return make


def breadcrumbs(elect: bool) -> Make:
    """Both ends cut off, then a sum or an election."""

    def make(values: Values) -> MergingMethod:
        _no_rescale(values, "breadcrumbs")
        densities = values.each_of("density")
        # mergekit keeps the density and gives up outliers for it.
        gammas = [min(gamma, 1.0 - density) for gamma, density in zip(values.each_of("gamma"), densities, strict=True)]
        return _method("breadcrumbs", density=densities, gamma=gammas, trim="tensor", **_agreement(values, elect))

    return make


def _agreement(values: Values, elect: bool) -> dict[str, Any]:
    if not elect:
        return {"merge": "linear", "scale": 1.0, "weights": _scaled(values)}
    merge = "ties" if values.shared["normalize"] else "ties_sum"
    return {"merge": merge, "scale": values.shared["lambda"], "weights": values.each_of("weight")}


def slerp(values: Values) -> MergingMethod:
    """The arc from the base to the other model."""
    return _method("slerp", t=values.shared["t"])


def nuslerp(values: Values) -> MergingMethod:
    """The arc between two models or task vectors."""
    if not values.shared["nuslerp_flatten"]:
        raise ConfigurationError("nuslerp interpolates whole tensors here; leave nuslerp_flatten out")
    first, second = values.each_of("weight")
    total = first + second
    return _method("nu_slerp", t=0.5 if abs(total) < 1e-6 else second / total)


def multislerp(values: Values) -> MergingMethod:
    """The mean on the sphere, in one step."""
    if not values.shared["normalize_weights"]:
        raise ConfigurationError("multislerp divides weights by their sum; leave normalize_weights out")
    return _method("multi_slerp", weights=values.each_of("weight"), tangent="projection")


def karcher(_: Values) -> MergingMethod:
    """The mean on the sphere."""
    return _method("karcher_mean")


def passthrough(values: Values) -> MergingMethod:
    """One model as it is, or scaled."""
    (model,) = values.each
    return _method("passthrough", scale=1.0 if model["scale"] is None else model["scale"])


def model_stock(values: Values) -> MergingMethod:
    """Interpolation by the angle between models."""
    if values.shared["filter_wise"]:
        raise ConfigurationError("model_stock takes one angle for each tensor here; leave filter_wise out")
    return _method("model_stock")


def sce(values: Values) -> MergingMethod:
    """Select, calculate, erase."""
    return _method("sce", density=values.shared["select_topk"])


def arcee_fusion(_: Values) -> MergingMethod:
    """What matters most of the other model."""
    return _method("arcee_fusion")


def near_swap(values: Values) -> MergingMethod:
    """At most t in each entry."""
    return _method("near_swap", t=values.shared["t"])
