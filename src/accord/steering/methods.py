"""Which methods of the room ``pareto`` can make a front of a run."""

from __future__ import annotations

import inspect

from accord.errors import ConfigurationError, suggest
from accord.pareto import MOOSVGD, HypervolumeGradient, PreferenceModel, Scalarisation
from accord.pareto.preference_solver import PreferenceSolver
from accord.registry import find, registered

SHORT = {"phn": "pareto_hyper_network", "linear": "linear_scalarisation", "moo_svgd": "moosvgd"}
# Those that move all solutions of a set at once, and know of no preference.
TOGETHER = (HypervolumeGradient, MOOSVGD)
# Constructor arguments that a run knows itself.
GIVEN = ("net", "tasks", "members", "image", "scalarisation", "preference", "preferences", "index", "reference")


def front_methods() -> dict[str, type]:
    """Return ``{registry name: class}`` of the methods that ``accord front`` takes.

    Those that need more than a run knows, as the items of a session recommender, are for one's own loop.
    """
    kinds = (PreferenceModel, PreferenceSolver, Scalarisation, *TOGETHER)
    return {name: cls for name, cls in registered("pareto").items() if issubclass(cls, kinds) and _known(cls)}


def _known(cls: type) -> bool:
    named = (p for p in inspect.signature(cls).parameters.values() if p.kind is not p.VAR_POSITIONAL)
    return all(p.name in GIVEN for p in named if p.default is p.empty and p.kind is not p.VAR_KEYWORD)


def method_class(name: str) -> type:
    """Return the class of the front method ``name``.

    Raises:
        ConfigurationError: there is none; the message suggests the nearest names.
    """
    known = front_methods()
    try:
        cls = find(SHORT.get(name.lower(), name), "pareto")
    except ConfigurationError:
        cls = None
    if cls is None or cls not in known.values():
        raise ConfigurationError(f"no method of fronts is called {name!r}. {suggest(name, [*known, *SHORT])}")
    return cls


def is_set(cls: type) -> bool:
    """Whether the method trains a model for each point, rather than one model for all of them."""
    return not issubclass(cls, PreferenceModel)


def is_together(cls: type) -> bool:
    """Whether the models of the method's set are trained in one run, each step depending on where all of them are."""
    return issubclass(cls, TOGETHER)
