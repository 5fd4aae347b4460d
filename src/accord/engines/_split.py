"""Take every task's backward through its own head, and stop where the trunk begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from accord.engines._autograd import pull
from accord.engines._engine import Problem
from accord.engines._graph import COMMON, leaf_of
from accord.engines._picks import picked

Port = tuple[Node, int]
Grads = list[Tensor | None]
Inputs = tuple[Tensor | None, ...]


@dataclass(frozen=True, slots=True)
class Pick:
    """Samples that a task's head takes out of a tensor of the trunk, not yet put back into zeros of its size.

    Attributes:
        task: whose.
        node: the operation that selects.
        gradient: that of its output.
    """

    task: int
    node: Node
    gradient: Tensor


@dataclass(frozen=True, slots=True)
class Split:
    """The tasks' gradients at the border between heads and trunk.

    Attributes:
        border: where the tasks' gradients enter the trunk, U places; trunk leaves are left out.
        cotangents: ``[T][U]`` gradients there; ``None`` where a task does not enter.
        heads: by task, the gradients of ``Problem.own``.
        direct: ``[T][len(shared)]`` gradients of shared parameters that reach them without passing the trunk.
        picks: what enters the trunk through a selection of samples, if asked for; it is then not in ``cotangents``.
    """

    border: tuple[GradientEdge, ...]
    cotangents: list[list[Tensor | None]]
    heads: list[tuple[Tensor | None, ...]]
    direct: list[list[Tensor | None]]
    picks: list[Pick]


def split(problem: Problem, *, picks: bool = False) -> Split:
    """Run the heads: one backward for all of them, since no two tasks' heads have a node in common.

    Cost: all heads once, whatever the size of the trunk. Where tasks enter the trunk at several depths, autograd also
    walks the part of the trunk between them, once.

    Args:
        problem: what is differentiated.
        picks: whether to stop before selections of samples.
    """
    tasks = range(len(problem.objectives.names))
    entered: list[dict[Port, Tensor]] = [{} for _ in tasks]
    headed: list[int] = []
    for task, edge in problem.objectives.started():
        if problem.graph.owner[edge.node] == COMMON:
            entered[task] = {(edge.node, edge.output_nr): problem.objectives.cotangent(task)}
        else:
            headed.append(task)
    found = _Heads(problem, headed, entered, picks)
    found.run()
    return _assemble(problem, found)


class _Heads:
    """One backward through the heads of ``tasks``, and what it leaves where."""

    def __init__(self, problem: Problem, tasks: list[int], entered: list[dict[Port, Tensor]], picks: bool) -> None:
        self.problem, self.tasks, self.entered = problem, tasks, entered
        graph, heads = problem.graph, set(tasks)
        self.direct: list[list[Tensor | None]] = [[None] * len(problem.shared) for _ in entered]
        started = {task for task, _ in problem.objectives.started()}
        self.heads: list[Grads] = [[None] * len(own) if t in started else [] for t, own in enumerate(problem.own)]
        self.picks: list[Pick] = []
        # Where each wanted gradient goes.
        self.places = [(self.heads[task], i) for task in tasks for i in range(len(problem.own[task]))]
        self.wanted: list[Tensor | GradientEdge] = [leaf for task in tasks for leaf in problem.own[task]]
        for position, tensor in enumerate(problem.shared):
            holder = graph.holder(tensor)
            if holder in heads:
                self.places.append((self.direct[holder], position))
                self.wanted.append(tensor)
        crossings = [(task, *crossing) for task in tasks for crossing in graph.crossings[task]]
        lazy = [(task, node) for task, node, _, edge in crossings if picks and _may_pick(node, edge)]
        held = {node for _, node in lazy}
        self.caught = [crossing for crossing in crossings if crossing[1] not in held]
        self.lazy = lazy

    def run(self) -> None:
        if not self.tasks:
            return
        objectives = self.problem.objectives
        edges = [edge for task, edge in objectives.started() if task in set(self.tasks)]
        stops = list(dict.fromkeys(edge for *_, edge in self.caught))
        picks = [GradientEdge(node, 0) for _, node in self.lazy]
        keep = self.problem.keep or len(stops) > 1
        # What enters the trunk is caught as it leaves the head: a gradient captured at the trunk has already been
        # through the hooks people registered there, and would go through them again on its way down.
        handles = self._catch()
        try:
            found = pull(
                edges,
                [objectives.cotangent(task) for task in self.tasks],
                [*self.wanted, *picks, *stops],
                keep=keep,
            )
        finally:
            for handle in handles:
                handle.remove()
        for (row, i), gradient in zip(self.places, found, strict=False):
            row[i] = gradient
        for (task, node), gradient in zip(self.lazy, found[len(self.wanted) :], strict=False):
            if gradient is not None:
                self.picks.append(Pick(task, node, gradient))

    def _catch(self) -> list[torch.utils.hooks.RemovableHandle]:
        ports: dict[Node, tuple[dict[Port, Tensor], list[tuple[int, Port]]]] = {}
        for task, node, i, edge in self.caught:
            ports.setdefault(node, (self.entered[task], []))[1].append((i, (edge.node, edge.output_nr)))
        return [node.register_hook(_catcher(*where)) for node, where in ports.items()]


def _catcher(entered: dict[Port, Tensor], where: list[tuple[int, Port]]) -> Callable[[Inputs, Inputs], None]:
    def catch(inputs: Inputs, _: Inputs) -> None:
        for i, port in where:
            gradient = inputs[i]
            if gradient is not None:
                entered[port] = entered[port] + gradient if port in entered else gradient

    return catch


def _may_pick(node: Node, edge: GradientEdge) -> bool:
    return leaf_of(edge.node) is None and picked(node) is not None


def _assemble(problem: Problem, found: _Heads) -> Split:
    positions = {id(tensor): position for position, tensor in enumerate(problem.shared)}
    for task, ports in enumerate(found.entered):
        for port in [port for port in ports if leaf_of(port[0]) is not None]:
            position = positions.get(id(leaf_of(port[0])))
            gradient = ports.pop(port)
            if position is not None:
                before = found.direct[task][position]
                found.direct[task][position] = gradient if before is None else before + gradient
    border = list(dict.fromkeys(port for ports in found.entered for port in ports))
    cotangents = [[ports.get(port) for port in border] for ports in found.entered]
    heads = [tuple(own) for own in found.heads]
    return Split(tuple(GradientEdge(*port) for port in border), cotangents, heads, found.direct, found.picks)
