"""The specification of a grouping: that of a run, and how its tasks are divided."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accord.errors import ConfigurationError, suggest
from accord.grouping.affinity import Affinity
from accord.grouping.branch_and_bound import MOST_TASKS
from accord.grouping.partition import Partitioner
from accord.registry import build, check_params, find, registered, snake
from accord.training.strict import decode

AUTO = "auto"


@dataclass(frozen=True)
class GroupSpec:
    """How tasks are divided, and whether that is put to the test.

    Attributes:
        affinity: name of an affinity of the room grouping.
        affinity_options: its constructor's arguments.
        partitioner: name of a partitioner; ``auto`` is exact up to 12 tasks and agglomerative beyond.
        partitioner_options: its constructor's arguments.
        groups: at most so many encoders.
        compute: at most the compute of so many models of all tasks; where neither is given, at most 3 groups.
        measure: train the groups, all tasks together, each alone, and random groups of the same sizes, and compare.
        seeds: how often each of them is trained; random groups are drawn anew for every seed.
        merged: fraction of the epochs that all tasks train together before they are split (MAS); 0 trains groups from
            scratch.
    """

    affinity: str = "inter_task_affinity"
    affinity_options: Mapping[str, Any] = field(default_factory=dict)
    partitioner: str = AUTO
    partitioner_options: Mapping[str, Any] = field(default_factory=dict)
    groups: int | None = None
    compute: float | None = None
    measure: bool = False
    seeds: int = 3
    merged: float = 0.0

    def __post_init__(self) -> None:
        check_params(pick(self.affinity, Affinity), {**self.affinity_options, "tasks": 2})
        if self.partitioner != AUTO:
            check_params(pick(self.partitioner, Partitioner), self.partitioner_options)
        elif self.partitioner_options:
            raise ConfigurationError("name a partitioner to give it options; auto takes none")
        if self.groups is not None and self.compute is not None:
            raise ConfigurationError("a budget is a number of groups or an amount of compute, not both")
        for name, value, low, high in (
            ("groups", self.groups, 1, None),
            ("compute", self.compute, 1, None),
            ("seeds", self.seeds, 1, None),
            ("merged", self.merged, 0, 0.9),
        ):
            if value is not None and not (low <= value < float("inf") and (high is None or value <= high)):
                limit = f"at least {low}" if high is None else f"between {low} and {high}"
                raise ConfigurationError(f"group.{name} must be {limit}, not {value!r}")

    def make_affinity(self, tasks: int) -> Affinity:
        """Return the affinity, not shown anything yet."""
        return build(
            self.affinity,
            {"tasks": tasks, **self.affinity_options},
            rooms=("grouping",),
            place="group.affinity_options",
        )

    def partitioner_name(self, tasks: int) -> str:
        """Return which partitioner it is."""
        if self.partitioner != AUTO:
            return snake(pick(self.partitioner, Partitioner).__name__)
        return "branch_and_bound" if tasks <= MOST_TASKS else "agglomerative"

    def make_partitioner(self, tasks: int) -> Partitioner:
        """Return the partitioner."""
        name, options = self.partitioner_name(tasks), self.partitioner_options
        return build(name, options, rooms=("grouping",), place="group.partitioner_options")


def pick(name: str, base: type) -> type:
    """Return the affinity or partitioner ``name``.

    Raises:
        ConfigurationError: there is none; the nearest names of the same sort are suggested.
    """
    known = {key: cls for key, cls in registered("grouping").items() if issubclass(cls, base)}
    try:
        found = find(name, "grouping")
    except ConfigurationError:
        found = None
    if found is None or not issubclass(found, base) or inspect.isabstract(found):
        options = [*known, AUTO] if base is Partitioner else list(known)
        raise ConfigurationError(f"unknown {base.__name__.lower()} {name!r}. {suggest(name, options)}")
    return found


def parse_group(data: Mapping[str, Any]) -> GroupSpec:
    """Return the checked section ``group``."""
    return decode(GroupSpec, data, "group")
