"""One call of ``accord.backward``, read and checked."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from accord.engines._engine import Engine, Problem
from accord.engines._graph import COMMON, Graph, explore
from accord.engines._objectives import Objectives
from accord.engines._shared import read_parameters
from accord.engines._team import Alone, Team
from accord.errors import ConfigurationError


@dataclass(slots=True)
class Call:
    """The arguments of one call, and the graph under its losses.

    Attributes:
        others: the task parameters that were named; ``None`` for all that the losses reach.
        groups: positions in ``shared`` by name of group; empty without groups.
        team: who takes the step.
    """

    objectives: Objectives
    shared: tuple[Tensor, ...]
    others: tuple[Tensor, ...] | None
    at: tuple[Tensor, ...] | None
    engine: Engine
    retain: bool
    groups: dict[str, tuple[int, ...]] = field(default_factory=dict)
    team: Team = field(default_factory=Alone)
    graph: Graph = field(init=False)

    def __post_init__(self) -> None:
        if self.at is not None and self.groups:
            raise ConfigurationError("at= stands in for all shared parameters, which are in groups here: leave at out")
        self.graph = explore(self.objectives.started())
        if self.others:
            self.others = read_parameters(self.others, "task_parameters", leaves=True)
            shared = {id(tensor): position for position, tensor in enumerate(self.shared)}
            for position, tensor in enumerate(self.others):
                if id(tensor) in shared:
                    raise ConfigurationError(
                        f"task_parameters[{position}] (shape {list(tensor.shape)}) is also "
                        f"shared[{shared[id(tensor)]}]; a parameter is either one or the other"
                    )

    def own(self, task: int) -> tuple[Tensor, ...]:
        """Return the task parameters that only ``task`` reaches (those that several reach, for ``COMMON``).

        Of sharded ones the graph cannot tell: every task may reach each of them.
        """
        if self.team.sharded:
            return () if task == COMMON else self.others or ()
        shared = {id(tensor) for tensor in self.shared}
        named = None if self.others is None else {id(tensor) for tensor in self.others}
        return tuple(
            leaf for leaf in self.graph.leaves[task] if id(leaf) not in shared and (named is None or id(leaf) in named)
        )

    def common(self) -> tuple[Tensor, ...]:
        """Return the leaves outside ``shared`` that several tasks reach."""
        return self.own(COMMON)

    def reaches(self, parameter: Tensor) -> bool:
        """Return whether some task reaches ``parameter``, as far as the graph can tell."""
        return self.graph.hides or self.graph.holder(parameter) is not None

    def problem(self, *, heads: bool, keep: bool, rows: bool) -> Problem:
        """Return what the engine is asked: ``at`` or the shared parameters, with or without the tasks' own.

        Processes add their rows up, so several of them always need these.
        """
        own = tuple(self.own(task) if heads else () for task in range(len(self.objectives.names)))
        rows = rows or self.team.several
        groups = tuple(self.groups.values())
        return Problem(self.objectives, self.at or self.shared, self.graph, own, keep, groups, rows)
