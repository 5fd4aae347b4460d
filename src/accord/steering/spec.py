"""The specification of a front: that of a run, and how a whole front is found under it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from accord.errors import ConfigurationError, suggest
from accord.pareto import PreferenceModel
from accord.registry import snake
from accord.steering.methods import GIVEN, is_set, method_class
from accord.training.strict import decode

# Points that are looked at when nobody says how many: of one model that is asked, and of models that are each trained.
LOOKED_AT, TRAINED = {2: 11}, {2: 5}
LOOKED_AT_MANY, TRAINED_MANY = 21, 10

# What the papers' authors use on tables, where the constructors' defaults are those for images; and a repulsion that
# does not throw off the networks of a set, whose losses are nearly alike at first, before they have learned anything.
ON_TABLES: Mapping[str, Mapping[str, Any]] = {
    "cosmos": {"penalty": 0.01, "concentration": 0.5},
    "pa_mal": {"window": 2, "penalty": 5.0},
    "moosvgd": {"repulsion": 0.01},
}


@dataclass(frozen=True)
class FrontSpec:
    """How the front is found.

    Attributes:
        method: a preference model of the room ``pareto`` (``cosmos``, ``pa_lo_ra``, ``pa_mal``,
            ``pareto_hyper_network`` or ``phn``), which makes one steerable model; a solver (``epo``, ``pmgda``,
            ``pmtl``) or scalarisation (``linear_scalarisation`` or ``linear``, ``tchebycheff_scalarisation``, ...),
            which trains one model for each point; or ``hypervolume_gradient`` or ``moo_svgd``, which trains as many
            models together, and finds out afterwards which preference each speaks for.
        options: the constructor's arguments.
        points: how many evenly spaced preferences are measured, or trained, at least; 0 is 11 (trained: 5) for two
            tasks and 21 (10) for more. With three tasks or more the next larger grid is taken.
    """

    method: str = "cosmos"
    options: Mapping[str, Any] = field(default_factory=dict)
    points: int = 0

    def __post_init__(self) -> None:
        cls = method_class(self.method)
        known = [name for name in inspect.signature(cls).parameters if name not in GIVEN]
        for option in self.options:
            if option not in known:
                hint = suggest(option, known) if known else "It takes no options."
                raise ConfigurationError(f"{self.method} has no option {option!r}. {hint}")
        _tried(cls, self.method, self.options)
        if self.points < 0 or self.points == 1:
            raise ConfigurationError(f"front.points must be at least 2, or 0 for the usual number; got {self.points}")

    def wanted(self, tasks: int) -> int:
        """Return how many points there are to be at least."""
        if is_set(method_class(self.method)):
            return self.points or TRAINED.get(tasks, TRAINED_MANY)
        return self.points or LOOKED_AT.get(tasks, LOOKED_AT_MANY)


def parse_front(data: Mapping[str, Any]) -> FrontSpec:
    """Return the checked section ``front`` with the method's own name and all its options, defaults included."""
    asked = decode(FrontSpec, data, "front")
    cls = method_class(asked.method)
    name = snake(cls.__name__)
    defaults = {
        key: _plain(parameter.default)
        for key, parameter in inspect.signature(cls).parameters.items()
        if key not in GIVEN and parameter.default is not parameter.empty
    }
    return replace(asked, method=name, options={**defaults, **ON_TABLES.get(name, {}), **asked.options})


def _tried(cls: type, name: str, options: Mapping[str, Any]) -> None:
    """Build the method on something small, so that a wrong option costs nothing that was computed before.

    Raises:
        ConfigurationError: an option has the wrong type or is out of range.
    """
    takes = inspect.signature(cls).parameters
    usual = {
        "net": nn.Linear(1, 1),
        "members": [nn.Linear(1, 1), nn.Linear(1, 1)],
        "tasks": 2,
        "preference": [0.5, 0.5],
        "preferences": [[0.5, 0.5]],
        "index": 0,
        "reference": [1.0, 1.0],
    }
    try:
        with torch.random.fork_rng():
            built = cls(**{key: value for key, value in usual.items() if key in takes}, **options)
            if isinstance(built, PreferenceModel):
                built.sample(torch.Generator())
    except ConfigurationError as error:
        raise ConfigurationError(f"front.options of {name}: {error}") from None
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigurationError(f"front.options of {name} cannot be {dict(options)!r}: {error}") from error


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
