"""Who takes part in a comparison, and what each of its trials is."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accord.comparing.ranges import Range
from accord.comparing.spaces import PLAIN
from accord.comparing.spec import ROOMS, CompareSpec
from accord.errors import ConfigurationError, MissingOptionError, suggest
from accord.registry import find, registered, required, snake
from accord.training import Spec
from accord.training.build import try_model
from accord.training.member import make_balancer
from accord.training.samplers import offered

# Steps of the golden ratio cover an interval evenly, however many there are.
GOLDEN = (5**0.5 - 1) / 2
# Sorts of methods in the order of an entrant's name, and where a specification names method and options of each.
SECTIONS: Mapping[str, tuple[str, str]] = {
    "sharing": ("model.sharing", "model.options"),
    "balancing": ("balancing.method", "balancing.options"),
    "sampling": ("sampling.method", "sampling.options"),
}
SORTS = {"sharing": "sharing", "weighting": "balancing", "aggregation": "balancing", "sampling": "sampling"}


@dataclass(frozen=True)
class Trial:
    """One setting: a learning rate, and options beside the defaults, by sort of method."""

    rate: float
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def flat(self) -> dict[str, Any]:
        """Return all options; one that two sorts of methods have is named after its sort too."""
        names = [name for drawn in self.options.values() for name in drawn]
        return {
            name if names.count(name) == 1 else f"{sort}.{name}": value
            for sort, drawn in self.options.items()
            for name, value in drawn.items()
        }


@dataclass(frozen=True)
class Entrant:
    """One method, or the single-task model of one task.

    Attributes:
        name: ``cagrad``, ``mmoe+upgrad``, ``temperature``, ``single:income``.
        key: its folder, safe for any file system.
        methods: by sort (``sharing``, ``balancing``, ``sampling``) what is not as the specification has it.
        task: position of the only task of a single-task model.
    """

    name: str
    key: str
    methods: Mapping[str, str] = field(default_factory=dict)
    task: int | None = None

    def trial(self, spec: Spec, compare: CompareSpec, number: int) -> Trial:
        """Return trial ``number`` (from 0); it depends on nothing but the specification and the entrant's name.

        Learning rates are the same for everybody. The first trial is the specification's rate with the defaults, so
        that tuning cannot lose to not tuning; options that have no default are drawn for it, too.
        """
        rate = spec.training.learning_rate
        rng = np.random.default_rng([spec.seed, zlib.crc32(self.name.encode()), number])
        if number == 0:
            needed = {sort: self._needed(spec, compare, sort) for sort in self.methods}
            return Trial(rate, _drawn({sort: space for sort, space in needed.items() if space}, rng, len(spec.tasks)))
        place = (0.5 + number * GOLDEN) % 1.0
        drawn = _drawn({sort: compare.space(method) for sort, method in self.methods.items()}, rng, len(spec.tasks))
        return Trial(float(f"{rate * compare.rate_factor ** (2 * place - 1):.3g}"), drawn)

    def spec(self, spec: Spec, trial: Trial, seed: int) -> Spec:
        """Return the specification of one run."""
        changes: dict[str, Any] = {"training.learning_rate": trial.rate, "seed": seed}
        for sort, (method, options) in SECTIONS.items():
            name, given = self._given(spec, sort)
            changes[method] = name
            changes[options] = {**given, **trial.options.get(sort, {})}
        return spec.override(changes)

    def _given(self, spec: Spec, sort: str) -> tuple[str | None, Mapping[str, Any]]:
        """Return the method of one sort that this entrant uses, and the options that the specification has for it."""
        used, given = _used(spec, sort)
        name = self.methods.get(sort)
        same = name is None or (used is not None and snake(find(used, *ROOMS).__name__) == name)
        return (used, given) if same else (name, {})

    def _needed(self, spec: Spec, compare: CompareSpec, sort: str) -> Mapping[str, Range]:
        """Return what is searched of one sort and has no value unless it is drawn."""
        method, (_, given) = self.methods[sort], self._given(spec, sort)
        lacking = set(required(find(method, *ROOMS))) - set(given)
        return {option: found for option, found in compare.space(method).items() if option in lacking}


def _drawn(
    spaces: Mapping[str, Mapping[str, Range]], rng: np.random.Generator, tasks: int
) -> dict[str, dict[str, Any]]:
    """Return a value for each option that is searched, by sort."""
    return {sort: {option: found.draw(rng, tasks) for option, found in space.items()} for sort, space in spaces.items()}


def _used(spec: Spec, sort: str) -> tuple[str | None, Mapping[str, Any]]:
    """Return the method of one sort that a specification names, and its options."""
    if sort == "sharing":
        return spec.model.sharing, spec.model.options
    section = spec.balancing if sort == "balancing" else spec.sampling
    return section.method, section.options


def entrants(spec: Spec, compare: CompareSpec) -> list[Entrant]:
    """Return the single-task models, tuned plain weights, and the named methods, each once.

    Every trial of every method is tried out as far as that costs nothing, so that a wrong option shows now and not
    after hours.

    Raises:
        ConfigurationError: an unknown name, two methods of one sort in a pair, or an option that a method refuses.
    """
    tasks = spec.parsed_tasks()
    if len(tasks) < 2:
        raise ConfigurationError("a comparison needs at least two tasks: with one there is nothing to balance or share")
    found = [Entrant(f"single:{task.name}", f"single-{i}", task=i) for i, task in enumerate(tasks)]
    joint = {PLAIN: Entrant(PLAIN, PLAIN, {"balancing": PLAIN})}
    for name in compare.methods:
        entrant = _parse(name)
        joint.setdefault(entrant.name, entrant)
    if len(joint) < 2:
        raise ConfigurationError(f"name a method besides {PLAIN!r}, which always takes part")
    for entrant in joint.values():
        for number in range(compare.trials):
            try:
                run = entrant.spec(spec, entrant.trial(spec, compare, number), spec.seed)
                make_balancer(run, tasks, spec.seed)
                try_model(run, len(tasks))
            except MissingOptionError as error:
                raise _unsearched(error) from error
    return [*found, *joint.values()]


def _unsearched(error: MissingOptionError) -> ConfigurationError:
    """Return the error about an option without a default as a comparison has it, where values are drawn."""
    bare = MissingOptionError(error.method, error.options)
    settings = " ".join(f"--set compare.search.{error.method}.{option}=[VALUE,...]" for option in error.options)
    return ConfigurationError(f"{bare}: list the values to try, {settings}")


def _parse(name: str) -> Entrant:
    """Return the entrant of ``name``: one method, or one of several sorts joined by ``+``."""
    parts = [_method(part.strip(), name) for part in name.split("+")]
    sorts = [SORTS[room] for room, _ in parts]
    for sort in sorts:
        if sorts.count(sort) > 1:
            raise ConfigurationError(
                f"{name!r} names two methods of {sort}; + joins one of sharing, one of balancing, one of sampling"
            )
    by_sort = dict(zip(sorts, (method for _, method in parts), strict=True))
    methods = {sort: by_sort[sort] for sort in SECTIONS if sort in by_sort}
    return Entrant("+".join(methods.values()), "+".join(methods.values()), methods)


def _method(name: str, whole: str) -> tuple[str, str]:
    """Return the room and the registry name of one method."""
    try:
        cls = find(name, *ROOMS)
    except ConfigurationError:
        elsewhere = {key: cls.__module__.split(".")[1] for key, cls in registered().items()}
        if (room := elsewhere.get(snake(name))) is not None:
            raise ConfigurationError(
                f"{whole!r} cannot be compared: methods of the room {room} are for loops of your own"
            ) from None
        raise ConfigurationError(f"unknown method {name!r}. {suggest(name, registered(*ROOMS))}") from None
    room = cls.__module__.split(".")[1]
    if room == "sampling":
        offered(name)
    return room, snake(cls.__name__)


def reference(found: Sequence[Entrant]) -> list[Entrant]:
    """Return the single-task models in the order of their tasks."""
    return [entrant for entrant in found if entrant.task is not None]
