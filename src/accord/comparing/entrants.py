"""Who takes part in a comparison, and what each of its trials is."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from accord.comparing.spaces import PLAIN
from accord.comparing.spec import ROOMS, CompareSpec
from accord.errors import ConfigurationError, suggest
from accord.registry import find, registered, snake
from accord.training import Spec
from accord.training.build import try_model
from accord.training.member import make_balancer

# Steps of the golden ratio cover an interval evenly, however many there are.
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Trial:
    """One setting: a learning rate, and options of the sharing and of the balancing beside their defaults."""

    rate: float
    sharing: Mapping[str, Any] = field(default_factory=dict)
    balancing: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Entrant:
    """One method, or the single-task model of one task.

    Attributes:
        name: ``cagrad``, ``mmoe+upgrad``, ``single:income``.
        key: its folder, safe for any file system.
        sharing: method of the room sharing, ``None`` for that of the specification.
        balancing: likewise of the rooms weighting and aggregation.
        task: position of the only task of a single-task model.
    """

    name: str
    key: str
    sharing: str | None = None
    balancing: str | None = None
    task: int | None = None

    def trial(self, spec: Spec, compare: CompareSpec, number: int) -> Trial:
        """Return trial ``number`` (from 0); it depends on nothing but the specification and the entrant's name.

        Learning rates are the same for everybody. The first trial is the specification's rate with the defaults, so
        that tuning cannot lose to not tuning.
        """
        rate = spec.training.learning_rate
        if number == 0:
            return Trial(rate)
        place = (0.5 + number * GOLDEN) % 1.0
        rng = np.random.default_rng([spec.seed, zlib.crc32(self.name.encode()), number])
        tasks = len(spec.tasks)
        drawn = [
            {option: found.draw(rng, tasks) for option, found in compare.space(method).items()} if method else {}
            for method in (self.sharing, self.balancing)
        ]
        return Trial(float(f"{rate * compare.rate_factor ** (2 * place - 1):.3g}"), *drawn)

    def spec(self, spec: Spec, trial: Trial, seed: int) -> Spec:
        """Return the specification of one run."""
        changes: dict[str, Any] = {"training.learning_rate": trial.rate, "seed": seed}
        for section, name, drawn in (
            ("model.sharing", self.sharing, trial.sharing),
            ("balancing.method", self.balancing, trial.balancing),
        ):
            part = section.split(".")[0]
            here = spec.model if part == "model" else spec.balancing
            used = here.sharing if part == "model" else here.method  # type: ignore[union-attr]
            same = name is None or snake(find(used, *ROOMS).__name__) == name
            changes[section] = used if same else name
            changes[f"{part}.options"] = {**(here.options if same else {}), **drawn}
        return spec.override(changes)


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
    joint = {PLAIN: Entrant(PLAIN, PLAIN, balancing=PLAIN)}
    for name in compare.methods:
        entrant = _parse(name)
        joint.setdefault(entrant.name, entrant)
    if len(joint) < 2:
        raise ConfigurationError(f"name a method besides {PLAIN!r}, which always takes part")
    for entrant in joint.values():
        for number in range(compare.trials):
            run = entrant.spec(spec, entrant.trial(spec, compare, number), spec.seed)
            make_balancer(run, tasks, spec.seed)
            try_model(run, len(tasks))
    return [*found, *joint.values()]


def _parse(name: str) -> Entrant:
    parts = [_method(part.strip(), name) for part in name.split("+")]
    rooms = ["sharing" if room == "sharing" else "balancing" for room, _ in parts]
    if len(set(rooms)) < len(rooms):
        raise ConfigurationError(
            f"{name!r} names two methods of {rooms[0]}; a pair is one of sharing and one balancing"
        )
    by_room = dict(zip(rooms, (method for _, method in parts), strict=True))
    joined = "+".join(by_room[room] for room in ("sharing", "balancing") if room in by_room)
    return Entrant(joined, joined, by_room.get("sharing"), by_room.get("balancing"))


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
    return cls.__module__.split(".")[1], snake(cls.__name__)


def reference(found: Sequence[Entrant]) -> list[Entrant]:
    """Return the single-task models in the order of their tasks."""
    return [entrant for entrant in found if entrant.task is not None]
