"""Take every task's backward through its own head, and stop where the trunk begins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from accord.engines._autograd import pull
from accord.engines._engine import Problem
from accord.engines._graph import COMMON, Graph, leaf_of

Port = tuple[Node, int]


@dataclass(frozen=True, slots=True)
class Split:
    """The tasks' gradients at the border between heads and trunk.

    Attributes:
            border: where the tasks' gradients enter the trunk, U places; trunk leaves are left out.
        cotangents: ``[T][U]`` gradients there; ``None`` where a task does not enter.
        heads: by task, the gradients of ``Problem.own``.
        direct: ``[T][len(shared)]`` gradients of shared parameters that reach them without passing the trunk.
    """

    border: tuple[GradientEdge, ...]
    cotangents: list[list[Tensor | None]]
    heads: list[tuple[Tensor | None, ...]]
    direct: list[list[Tensor | None]]


def split(problem: Problem) -> Split:
    """Run the heads: one short backward per task.

    Cost: all heads once, whatever the size of the trunk. Where a task enters the trunk at several depths, autograd also
    walks the part of the trunk between them, once per such task.
    """
    started = problem.objectives.started()
    graph = problem.graph
    tasks = range(len(problem.objectives.names))
    entered: list[dict[Port, Tensor]] = [{} for _ in tasks]
    heads: list[tuple[Tensor | None, ...]] = [() for _ in tasks]
    direct: list[list[Tensor | None]] = [[None] * len(problem.shared) for _ in tasks]
    for task, edge in started:
        if graph.owner[edge.node] == COMMON:
            entered[task] = {(edge.node, edge.output_nr): problem.objectives.cotangent(task)}
            heads[task] = (None,) * len(problem.own[task])
        else:
            entered[task], heads[task], direct[task] = _head(problem, graph, task, edge)
    return _assemble(problem, entered, heads, direct)


def _head(
    problem: Problem, graph: Graph, task: int, edge: GradientEdge
) -> tuple[dict[Port, Tensor], tuple[Tensor | None, ...], list[Tensor | None]]:
    shared = [i for i, tensor in enumerate(problem.shared) if graph.holder(tensor) == task]
    wanted = [*problem.own[task], *(problem.shared[position] for position in shared)]
    stops = list(dict.fromkeys(crossing for _, _, crossing in graph.crossings[task]))
    entered: dict[Port, Tensor] = {}
    # What enters the trunk is caught as it leaves the head: a gradient captured at the trunk has already been through
    # the hooks people registered there, and would go through them again on its way down.
    caught = _catch(graph, task, entered)
    try:
        found = pull(
            [edge], [problem.objectives.cotangent(task)], [*wanted, *stops], keep=problem.keep or len(stops) > 1
        )
    finally:
        for handle in caught:
            handle.remove()
    own = len(problem.own[task])
    direct: list[Tensor | None] = [None] * len(problem.shared)
    for position, gradient in zip(shared, found[own:], strict=False):
        direct[position] = gradient
    return entered, found[:own], direct


def _catch(graph: Graph, task: int, entered: dict[Port, Tensor]) -> list[torch.utils.hooks.RemovableHandle]:
    ports: dict[Node, list[tuple[int, Port]]] = {}
    for node, i, edge in graph.crossings[task]:
        ports.setdefault(node, []).append((i, (edge.node, edge.output_nr)))

    def catcher(where: list[tuple[int, Port]]):  # noqa: ANN202
        def catch(inputs: tuple[Tensor | None, ...], _: object) -> None:
            for i, port in where:
                gradient = inputs[i]
                if gradient is not None:
                    entered[port] = entered[port] + gradient if port in entered else gradient

        return catch

    return [node.register_hook(catcher(where)) for node, where in ports.items()]


def _assemble(
    problem: Problem,
    entered: list[dict[Port, Tensor]],
    heads: list[tuple[Tensor | None, ...]],
    direct: list[list[Tensor | None]],
) -> Split:
    positions = {id(tensor): position for position, tensor in enumerate(problem.shared)}
    for task, ports in enumerate(entered):
        for port in [port for port in ports if leaf_of(port[0]) is not None]:
            position = positions.get(id(leaf_of(port[0])))
            gradient = ports.pop(port)
            if position is not None:
                before = direct[task][position]
                direct[task][position] = gradient if before is None else before + gradient
    border = list(dict.fromkeys(port for ports in entered for port in ports))
    cotangents = [[ports.get(port) for port in border] for ports in entered]
    return Split(tuple(GradientEdge(*port) for port in border), cotangents, heads, direct)
