"""How the gradients of one step come together: on this process alone, on replicas, or on shards of one model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from accord.engines import _autograd
from accord.engines._engine import Derivatives, Engine, Problem
from accord.engines._joint_losses import PRESENT, missing
from accord.engines._objectives import Objectives
from accord.engines._processes import Processes
from accord.engines._scattered import Beside, Scattered, summed
from accord.engines.layerwise import LayerwiseGramian
from accord.engines.loop import Loop
from accord.engines.representation import Representation
from accord.engines.sketch import Sketch
from accord.errors import AccordError, ConfigurationError

Gradients = Iterable[tuple[Tensor, Tensor]]
Roots = tuple[Sequence[GradientEdge], Sequence[Tensor]]
Found = TypeVar("Found")


class Team(ABC):
    """Who takes the step.

    Attributes:
        several: whether other processes take part.
        sharded: whether parameters are :class:`~torch.distributed.tensor.DTensor` that the graph does not hold.
    """

    several: ClassVar[bool] = False
    sharded: ClassVar[bool] = False

    @abstractmethod
    def differentiate(self, engine: Engine, problem: Problem) -> Derivatives:
        """Return the derivatives of the losses over all processes; ``heads`` are this process's part in theirs."""

    @abstractmethod
    def pull(self, roots: Roots, wanted: Sequence[Tensor], *, keep: bool) -> tuple[Tensor | None, ...]:
        """Return this process's part in the gradients of ``wanted``."""

    @abstractmethod
    def settle(self, parameters: Sequence[Tensor], gradients: Gradients) -> list[tuple[Tensor, Tensor]]:
        """Return what ``parameters`` receive over all processes, of which ``gradients`` are this process's parts."""

    @abstractmethod
    def attempt(self, find: Callable[[], tuple[Found, dict[int, float]]], tasks: int) -> tuple[Found, dict[int, float]]:
        """Return what ``find`` finds here, and the tasks that it finds to be ill on any process.

        Raises:
            AccordError: it failed on another process, as far as processes can tell each other in the middle of it.
        """

    @abstractmethod
    def everywhere(self, ill: Mapping[int, float], tasks: int) -> dict[int, float]:
        """Return the tasks that are ``ill`` on any process, with the size of their gradient where it is known."""


class Alone(Team):
    """This process, whose losses are the whole."""

    def differentiate(self, engine: Engine, problem: Problem) -> Derivatives:
        return engine.differentiate(problem)

    def pull(self, roots: Roots, wanted: Sequence[Tensor], *, keep: bool) -> tuple[Tensor | None, ...]:
        return _autograd.pull(*roots, wanted, keep=keep)

    def settle(self, parameters: Sequence[Tensor], gradients: Gradients) -> list[tuple[Tensor, Tensor]]:  # noqa: ARG002
        return list(gradients)

    def attempt(self, find: Callable[[], tuple[Found, dict[int, float]]], tasks: int) -> tuple[Found, dict[int, float]]:  # noqa: ARG002
        return find()

    def everywhere(self, ill: Mapping[int, float], tasks: int) -> dict[int, float]:  # noqa: ARG002
        return dict(ill)


class Several(Team):
    """Processes that hold a part of the batch each."""

    several = True

    @abstractmethod
    def told(self, objectives: Objectives, kinds: Tensor) -> Objectives:
        """Return the joint losses with the starting points that this process needs.

        Args:
            objectives: the losses over all processes, with this process's starting points.
            kinds: what each process has of each task, ``[R, T]``.

        Raises:
            ConfigurationError: a process lacks what it must have; on all processes alike.
        """


class Replicas(Several):
    """Processes with a copy of all parameters each, with or without DistributedDataParallel.

    Gradients are taken past ``.grad`` and its hooks, summed here, and then written: DistributedDataParallel's own
    reduction, which could only average what each process decided by itself, never starts.

    Args:
        processes: who.
    """

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._lacking: tuple[str, int] | None = None

    def told(self, objectives: Objectives, kinds: Tensor) -> Objectives:
        here = (kinds[self._processes.rank] == PRESENT).tolist()
        self._lacking = missing(objectives, kinds != PRESENT)
        edges = tuple(edge if on else None for edge, on in zip(objectives.edges, here, strict=True))
        return replace(objectives, edges=edges)

    def differentiate(self, engine: Engine, problem: Problem) -> Derivatives:
        leaves = [tensor.is_leaf for tensor in problem.shared]
        if any(leaves) and not all(leaves):
            raise ConfigurationError(
                "at= mixes parameters with results of computations; over several processes pass one or the other"
            )
        if isinstance(engine, Representation):
            self._check_present()
        elif isinstance(engine, (LayerwiseGramian, Sketch)) and all(leaves):
            raise ConfigurationError(
                f'engine="{engine.name}" drops a gradient before other processes add theirs: use engine="auto", '
                '"loop", "batched" or "grouped" with group='
            )
        beside = isinstance(engine, Representation) or not all(leaves)

        def find() -> tuple[tuple[Derivatives, Tensor], list[bool]]:
            # Some engines cannot start from nothing, which is what a process without samples has.
            local = (engine if problem.objectives.started() else Loop()).differentiate(problem)
            check_held(problem.shared)
            reached = [problem.graph.holder(tensor) is not None for tensor in problem.shared]
            return (local, torch.empty(0) if beside else local.jacobian()), reached

        (local, rows), reached = agreed(self._processes, find, len(problem.shared))
        if beside:
            return Beside(self._processes, problem.shared, local)
        return Scattered(self._processes, problem, local, rows, reached)

    def pull(self, roots: Roots, wanted: Sequence[Tensor], *, keep: bool) -> tuple[Tensor | None, ...]:
        return _autograd.pull(*roots, wanted, keep=keep)

    def settle(self, parameters: Sequence[Tensor], gradients: Gradients) -> list[tuple[Tensor, Tensor]]:
        return summed(self._processes, parameters, list(gradients)) if parameters else []

    def attempt(self, find: Callable[[], tuple[Found, dict[int, float]]], tasks: int) -> tuple[Found, dict[int, float]]:
        def flagged() -> tuple[tuple[Found, dict[int, float]], list[bool]]:
            found, ill = find()
            return (found, ill), [task in ill for task in range(tasks)]

        (found, ill), anywhere = agreed(self._processes, flagged, tasks)
        return found, {task: ill.get(task, torch.nan) for task, on in enumerate(anywhere) if on}

    def everywhere(self, ill: Mapping[int, float], tasks: int) -> dict[int, float]:
        return union(self._processes, ill, tasks)

    def _check_present(self) -> None:
        if self._lacking is not None:
            task, rank = self._lacking
            raise ConfigurationError(
                f'engine="representation" finds the representation where tasks meet, and process {rank} has no '
                f'samples of task {task!r} to meet with: use engine="auto", or at=[representation]'
            )


def agreed(
    processes: Processes, find: Callable[[], tuple[Found, Sequence[bool]]], width: int
) -> tuple[Found, list[bool]]:
    """Return what ``find`` finds once it went well on every process, and which of its ``width`` flags some process set.

    So what cannot be done with one process's part of the batch leaves nobody waiting for it.

    Raises:
        AccordError: it failed on another process; where it failed, its own error is raised.
    """
    found, flags, failure = None, (False,) * width, None
    try:
        found, flags = find()
    except Exception as error:
        failure = error
    mine = torch.tensor([*flags, failure is not None], dtype=torch.float32, device=processes.device)
    *anywhere, failed = (processes.total(mine) > 0).tolist()
    if failure is not None:
        raise failure
    if failed:
        raise AccordError("another process could not go on with this step; its own error says why")
    assert found is not None
    return found, anywhere


def union(processes: Processes, ill: Mapping[int, float], tasks: int) -> dict[int, float]:
    """Return ``ill`` of all processes; NaN stands for the size of a gradient on another process."""
    flags = torch.zeros(tasks, device=processes.device)
    flags[list(ill)] = 1
    return {task: ill.get(task, torch.nan) for task in processes.total(flags).nonzero().squeeze(1).tolist()}


def check_held(parameters: Sequence[Tensor]) -> None:
    """Raise a :class:`ConfigurationError` if ``parameters`` are copies that ``fully_shard`` has freed again."""
    if any(tensor.numel() and not tensor.untyped_storage().size() for tensor in parameters):
        raise ConfigurationError(gathered_copy())


def gathered_copy() -> str:
    """Return what to say of parameters that were collected while ``fully_shard`` had them gathered."""
    return (
        "shared holds copies that fully_shard gathered for the forward and frees again, which no optimiser knows: "
        "collect the parameters once, before the first forward, as for the optimiser"
    )
