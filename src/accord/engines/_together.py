"""Tasks descend one graph together, and their gradients are handed over where they meet a shared parameter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._engine import Problem
from accord.engines._pages import stack_apart
from accord.engines._sweep import Grads, Sweep, owners, positions
from accord.engines.loop import dense


class Together:
    """One walk through the graph, node by node: each parameter's gradients are dropped once they were handed over.

    Args:
        problem: what to differentiate.
        shortcuts: ways to deal with a node that need not form its parameters' gradients, tried in order where all
            tasks that arrive bring a gradient of its first output; one that has dealt with it returns true, and may
            take out of what it was given what it no longer needs.
        meet: is given the position of a parameter in ``shared``, tasks, and their gradients there ``[len(tasks), n]``.
        tasks: who descends; all that have a loss when ``None``.
        whole: the way of all tasks, where only some descend: what one task reaches once, others may reach elsewhere.

    Attributes:
        heads: by task, the gradients of ``Problem.own``.
    """

    def __init__(
        self,
        problem: Problem,
        shortcuts: Sequence[Shortcut],
        meet: Meet,
        tasks: Sequence[int] | None = None,
        whole: Sweep | None = None,
    ) -> None:
        started = [(task, edge) for task, edge in problem.objectives.started() if tasks is None or task in tasks]
        self.shortcuts, self.meet = shortcuts, meet
        self.shared = positions(problem)
        self.owners = owners(problem)
        self.sweep = Sweep((edge for _, edge in started), [*self.shared, *self.owners])
        self.uses = (whole or self.sweep).uses
        self.heads: list[Grads] = [[None] * len(own) for own in problem.own]
        for task, edge in started:
            self.sweep.add(edge.node, edge.output_nr, task, problem.objectives.cotangent(task))

    @torch.no_grad()
    def finish(self) -> None:
        """Walk the graph."""
        for node, arrived in self.sweep.nodes():
            if not arrived:
                continue
            self._meet(node, arrived)
            if node in self.owners:
                task, place = self.owners[node]
                self.heads[task][place] = arrived[task][0]
            elif self.sweep.below[node] and not self._cut_short(node, arrived):
                for task in list(arrived):
                    self.sweep.send(node, task, arrived.pop(task))  # popped: what was used makes room for what comes

    def alone(self, node: Node | None) -> int | None:
        """Return the position in ``shared`` of the parameter whose gradient ``node`` accumulates from one source."""
        if node is None or self.uses.get(node) != 1 or self.sweep.below[node] or node not in self.shared:
            return None
        return self.shared[node][0][1]

    def _meet(self, node: Node, arrived: dict[int, Grads]) -> None:
        """Hand over the gradients of the shared tensors that ``node`` computes or accumulates."""
        for port, position in self.shared.get(node, ()):
            found = {task: gradient for task, outputs in arrived.items() if (gradient := outputs[port]) is not None}
            if found:
                rows = stack_apart([dense(gradient).reshape(-1) for gradient in found.values()])
                self.meet(position, list(found), rows)

    def _cut_short(self, node: Node, arrived: Arrived) -> bool:
        if any(outputs[0] is None for outputs in arrived.values()):
            return False
        return any(shortcut(self, node, arrived) for shortcut in self.shortcuts)


def firsts(arrived: Arrived) -> list[Tensor]:
    """Return by task the gradient of a node's first output."""
    return [first for first, *_ in arrived.values() if first is not None]


Arrived = dict[int, Grads]
Shortcut = Callable[[Together, Node, Arrived], bool]
Meet = Callable[[int, list[int], Tensor], None]
