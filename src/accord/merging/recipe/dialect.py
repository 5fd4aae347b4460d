"""The names and parameters that recipes have for methods, which are mergekit's, and what they are here."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from accord.errors import ConfigurationError, suggest
from accord.merging.layer_pruning import LayerPruning
from accord.merging.merging_method import MergingMethod
from accord.merging.recipe import translate
from accord.merging.recipe.kinds import check_kinds
from accord.merging.recipe.settings import Option
from accord.merging.recipe.translate import Make, Values
from accord.registry import build, check_params, find, registered

Own = Literal["needed", "optional", "input"]
# So are Accord's own methods and options called, where a recipe wants them and not mergekit's.
PREFIX = "accord."


@dataclass(frozen=True, slots=True)
class Dialect:
    """A method as recipes have it.

    Attributes:
        options: its parameters.
        make: returns our method.
        base: whether a base is needed, may be there, or is one more input.
        notes: where the result differs from mergekit's.
    """

    options: tuple[Option, ...]
    make: Make
    base: Own = "needed"
    notes: str = ""


def _general(normalise: bool, rescale: bool, *more: Option) -> tuple[Option, ...]:
    return (
        Option("normalize", "yes or no", normalise),
        Option("rescale", "yes or no", rescale),
        Option("lambda", "number", 1.0),
        Option("weight", each=True),
        Option("density", "number", 1.0, each=True),
        *more,
    )


WEIGHT = Option("weight", each=True)
GAMMA = Option("gamma", "number", 0.01, each=True)
EPSILON = Option("epsilon", "number", 0.15, each=True)
CHANGED = Option("epsilon", "number", 1e-5)
EQUALS = "entries as large as the smallest kept one are kept, too"
DROPS = "survivors are divided by the density, mergekit restores each tensor's sum of magnitudes; other random masks"

DIALECTS: dict[str, Dialect] = {
    "linear": Dialect((WEIGHT, Option("normalize", "yes or no", True)), translate.linear, "input"),
    "slerp": Dialect((Option("t"),), translate.slerp),
    "nuslerp": Dialect(
        (WEIGHT, Option("nuslerp_row_wise", "yes or no", False), Option("nuslerp_flatten", "yes or no", True)),
        translate.nuslerp,
        "optional",
    ),
    "multislerp": Dialect(
        (WEIGHT, Option("normalize_weights", "yes or no", True), Option("eps", "number", 1e-8)),
        translate.multislerp,
        "optional",
    ),
    "karcher": Dialect(
        (Option("max_iter", "whole", 10), Option("tol", "number", 1e-5)),
        translate.karcher,
        "input",
        "the mean is found to 1e-12; mergekit stops after max_iter steps or at tol",
    ),
    "task_arithmetic": Dialect(_general(False, False), translate.task_arithmetic),
    "ties": Dialect(_general(True, False), translate.ties, notes=EQUALS),
    "dare_linear": Dialect(_general(False, True), translate.dare(False), notes=DROPS),
    "dare_ties": Dialect(_general(False, True), translate.dare(True), notes=DROPS),
    "breadcrumbs": Dialect(_general(False, False, GAMMA), translate.breadcrumbs(False), notes=EQUALS),
    "breadcrumbs_ties": Dialect(_general(False, False, GAMMA), translate.breadcrumbs(True), notes=EQUALS),
    "della_linear": Dialect(
        _general(False, True, EPSILON),
        translate.della(False),
        notes="survivors are divided by their own probability, as in the paper; other random masks",
    ),
    "della": Dialect(
        _general(True, True, EPSILON),
        translate.della(True),
        notes="survivors are divided by their own probability, as in the paper; other random masks",
    ),
    "model_stock": Dialect(
        (Option("filter_wise", "yes or no", False),),
        translate.model_stock,
        notes="opposed models leave the base as it is",
    ),
    "sce": Dialect(
        (Option("select_topk", "number", 1.0),),
        translate.sce,
        notes=f"the share is one of all entries and not of those that differ between models; {EQUALS}",
    ),
    "ram": Dialect((CHANGED,), translate.ram),
    "ramplus_tl": Dialect((Option("r", "number", 0.1), Option("alpha", "number", 0.2), CHANGED), translate.ramplus_tl),
    "arcee_fusion": Dialect((), translate.arcee_fusion, notes="quartiles are exact and divergences in float64"),
    "nearswap": Dialect((Option("t"),), translate.near_swap),
    "passthrough": Dialect((Option("scale", "number", None, each=True),), translate.passthrough, "input"),
}

# Parameters that say how mergekit computes, which decides nothing here.
MEANINGLESS = {
    "int8_mask": "masks take no memory to speak of",
    "eps": "no division here needs it",
    "embed_slerp": "embeddings are merged as all else",
}
KNOWN = frozenset(option.name for dialect in DIALECTS.values() for option in dialect.options) | set(MEANINGLESS)


def find_dialect(name: str) -> Dialect:
    """Return what a recipe's ``merge_method`` means: a name of mergekit's, or of a class of Accord's.

    Raises:
        ConfigurationError: neither knows it.
    """
    if (found := DIALECTS.get(name)) is not None:
        return found
    known = registered("merging")
    if name.startswith(PREFIX) or name in known:
        cls = find(name.removeprefix(PREFIX), "merging")
        if cls is LayerPruning:
            raise ConfigurationError(
                f"{name} comes before a method: leave merge_method to that one, as ties, and say layer_pruning: "
                "{keep: 0.5} beside it"
            )
        if not issubclass(cls, MergingMethod):
            raise ConfigurationError(
                f"{name} takes more than checkpoints; call accord.merging.{cls.__name__} in Python"
            )
        return _own(cls)
    own = [each for each, cls in known.items() if issubclass(cls, MergingMethod)]
    raise ConfigurationError(f"unknown merge_method {name!r}. {suggest(name.lower(), {*DIALECTS, *own})}")


def _own(cls: type[MergingMethod]) -> Dialect:
    """Return a method of Accord's under its own options; a model's parameters make lists of one value for each."""
    parameters = inspect.signature(cls).parameters

    def make(values: Values) -> MergingMethod:
        named = [name for name in parameters if any(name in model for model in values.each)]
        given = {name: values.each_of(name) for name in named}
        given |= {name: value for name, value in values.shared.items() if name not in given}
        check_params(cls, given)
        check_kinds(cls, given)
        return build(cls.__name__, ({"seed": values.seed} if "seed" in parameters else {}) | given, rooms=("merging",))

    base: Own = {"needed": "needed", "optional": "optional", "unused": "input"}[cls.base]  # type: ignore[assignment]
    return Dialect((), make, base)


def own_options(name: str) -> tuple[str, ...] | None:
    """Return the constructor's arguments where ``name`` means a method under Accord's own options, else ``None``."""
    if name in DIALECTS:
        return None
    return tuple(inspect.signature(find(name.removeprefix(PREFIX), "merging")).parameters)


def meaningless(name: str, around: Sequence[str], at_models: Sequence[str]) -> list[str]:
    """Return a sentence for every parameter that a recipe sets and that decides nothing.

    Args:
        name: of the method.
        around: parameters of the recipe and its slices.
        at_models: parameters that stand at single models.

    Raises:
        ConfigurationError: a parameter that no method has.
    """
    dialect = find_dialect(name)
    own = own_options(name)
    options = [option.name for option in dialect.options] if own is None else list(own)
    # mergekit's defaults differ between methods, so that many files set some which their method does not have.
    shared = {option.name for option in dialect.options if not option.each} - set(MEANINGLESS)
    said = [
        f"{parameter} at a model decides nothing: {name} has one for all, which stands under the recipe's or a slice's "
        "parameters"
        for parameter in dict.fromkeys(at_models)
        if parameter in shared
    ]
    for parameter in dict.fromkeys([*around, *at_models]):
        if parameter in options and parameter not in MEANINGLESS:
            continue
        if parameter in MEANINGLESS:
            said.append(f"{parameter} decides nothing here: {MEANINGLESS[parameter]}")
        elif own is None and parameter in KNOWN:
            said.append(f"{parameter} decides nothing: {name} has no such parameter")
        else:
            raise ConfigurationError(f"{name} has no parameter {parameter!r}. {suggest(parameter, options or KNOWN)}")
    return said
