"""Walk a graph backwards for all tasks at once, one node at a time."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from accord.engines._autograd import edge_of
from accord.engines._engine import Problem
from accord.engines._graph import leaf_of
from accord.engines._picks import signed

Grads = list[Tensor | None]


class Sweep:
    """The nodes that lead to the wanted tensors, in an order in which every gradient is complete when met.

    Between nodes, a gradient is held per task that has one; it is dropped as soon as the node has used it. Memory: the
    gradients at one cut through the graph, T times.

    Hooks on tensors inside the graph do not run, since nodes are called rather than scheduled.
    """

    def __init__(self, starts: Iterable[GradientEdge], wanted: Iterable[Node]) -> None:
        self.below: dict[Node, tuple[tuple[Node | None, int], ...]] = {}
        above: dict[Node, list[Node]] = defaultdict(list)
        pending = [edge.node for edge in starts]
        while pending:
            node = pending.pop()
            if node in self.below:
                continue
            self.below[node] = node.next_functions
            for child, _ in self.below[node]:
                if child is not None:
                    above[child].append(node)
                    pending.append(child)
        self.uses = _uses(wanted, above, self.below)
        self._held: dict[Node, dict[int, Grads]] = defaultdict(dict)
        self._gathered: set[tuple[Node, int, int]] = set()  # node, task and output whose gradient nobody else holds

    def add(self, node: Node, port: int, task: int, gradient: Tensor | None) -> None:
        """Add a task's ``gradient`` to what arrives at an output of ``node``, if that leads to a wanted tensor."""
        if gradient is None or node not in self.uses:
            return
        meta = node._input_metadata[port]
        # Inside autograd, the scheduler undoes broadcasting and casts; here that is ours to do.
        if gradient.shape != meta.shape:
            gradient = gradient.sum_to_size(tuple(meta.shape))
        gradient = gradient.to(meta.dtype)
        held = self._held[node].setdefault(task, [None] * len(node._input_metadata))
        before = held[port]
        held[port] = gradient if before is None else before + gradient

    def nodes(self) -> Iterator[tuple[Node, dict[int, Grads]]]:
        """Yield each node with the complete gradients of its outputs by task; pass on what it sends in between."""
        waiting = dict(self.uses)
        # The node created last comes first and parameters at once, so that few gradients are held at a time.
        ready = [(-node._sequence_nr(), i, node) for i, node in enumerate(self.uses) if not waiting[node]]
        heapq.heapify(ready)
        serial = len(self.uses)
        while ready:
            node = heapq.heappop(ready)[2]
            yield node, self._held.pop(node, {})
            for child, _ in self.below[node]:
                if child is not None and child in waiting:
                    waiting[child] -= 1
                    if not waiting[child]:
                        serial += 1
                        heapq.heappush(ready, (-child._sequence_nr(), serial, child))

    def send(self, node: Node, task: int, outputs: Sequence[Tensor | None]) -> None:
        """Differentiate ``node`` for one task and add the results to the nodes below."""
        if node.name() == "SelectBackward0" and outputs[0] is not None:
            self._put(node, task, outputs[0])
            return
        for (child, port), gradient in zip(self.below[node], call(node, outputs), strict=False):
            if child is not None:
                self.add(child, port, task, gradient)

    def _put(self, node: Node, task: int, gradient: Tensor) -> None:
        """Add what was selected where it was taken from; autograd spreads each such part over zeros and adds these."""
        child, port = self.below[node][0]
        if child not in self.uses:
            return
        place = (child, task, port)
        held = self._held[child].setdefault(task, [None] * len(child._input_metadata))
        whole = held[port]
        if whole is None:
            whole = _zeros(child, port)
        elif place not in self._gathered:
            whole = whole.clone()
        self._gathered.add(place)
        held[port] = whole
        saved: Any = node
        whole.select(signed(saved._saved_dim), signed(saved._saved_index)).add_(gradient)


def call(node: Node, outputs: Sequence[Tensor | None]) -> Sequence[Tensor | None]:
    """Return the gradients of a node's inputs, not yet in their shapes, given those of its outputs."""
    function = node
    if isinstance(node, torch.autograd.function.BackwardCFunction):
        # Here, too, the scheduler would see to it: functions of people's own expect zeros where no gradient arrives.
        function, outputs = node.apply, [_zeros(node, i) if one is None else one for i, one in enumerate(outputs)]
    with torch.no_grad():
        found = function(*outputs)  # pyright: ignore[reportCallIssue]
    return found if isinstance(found, tuple) else (found,)


def _zeros(node: Node, port: int) -> Tensor:
    meta = node._input_metadata[port]
    return torch.zeros(tuple(meta.shape), dtype=meta.dtype, device=meta.device)


def positions(problem: Problem) -> dict[Node, list[tuple[int, int]]]:
    """Return ``node -> [(output, position in shared)]`` where the gradients of shared tensors are met."""
    found: dict[Node, list[tuple[int, int]]] = defaultdict(list)
    for position, tensor in enumerate(problem.shared):
        edge = edge_of(tensor)
        found[edge.node].append((edge.output_nr, position))
    return found


def owners(problem: Problem) -> dict[Node, tuple[int, int]]:
    """Return ``node -> (task, position in own)`` of the tasks' own leaves."""
    places = {id(leaf): (task, i) for task, own in enumerate(problem.own) for i, leaf in enumerate(own)}
    leaves = {node: leaf_of(node) for node in problem.graph.owner}
    return {node: places[id(leaf)] for node, leaf in leaves.items() if leaf is not None and id(leaf) in places}


def _uses(
    wanted: Iterable[Node], above: dict[Node, list[Node]], below: dict[Node, tuple[tuple[Node | None, int], ...]]
) -> dict[Node, int]:
    """Return the nodes that lead to a wanted one, each with the number of edges that come from such nodes."""
    leading: set[Node] = set()
    pending = [node for node in wanted if node in below]
    while pending:
        node = pending.pop()
        if node not in leading:
            leading.add(node)
            pending += above[node]
    return {node: sum(parent in leading for parent in above[node]) for node in below if node in leading}
