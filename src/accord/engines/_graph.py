"""Walk the autograd graph once: which part belongs to one task, which to several, and where they meet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from accord.engines._autograd import edge_of
from accord.errors import ConfigurationError

COMMON = -1


@dataclass(slots=True)
class Graph:
    """Who reaches what.

    Attributes:
        owner: the one task that reaches a node, or ``COMMON``.
        leaves: leaf tensors by owner.
        crossings: by task, ``(node, i, edge)`` where the i-th input of a node that only this task reaches is
            computed by a common one; that is where the task's gradient enters the trunk.
        hides: whether parts of the model are not in the graph at all (checkpoints with ``use_reentrant=True``).
    """

    owner: dict[Node, int] = field(default_factory=dict)
    leaves: dict[int, list[Tensor]] = field(default_factory=lambda: defaultdict(list))
    crossings: dict[int, list[tuple[Node, int, GradientEdge]]] = field(default_factory=lambda: defaultdict(list))
    hides: bool = False

    def holder(self, tensor: Tensor) -> int | None:
        """Return the task that alone reaches ``tensor``, ``COMMON``, or ``None`` when no task does."""
        return self.owner.get(edge_of(tensor).node)

    def open(self) -> Graph:
        """Return this graph if all of the model is in it.

        Raises:
            ConfigurationError: some is hidden in a reentrant checkpoint, whose parameters would seem to be unused.
        """
        if self.hides:
            raise ConfigurationError(
                "a checkpoint with use_reentrant=True hides its parameters from the graph: use use_reentrant=False "
                '(an aggregator in accord.backward with engine="loop" copes with it)'
            )
        return self


def explore(starts: Iterable[tuple[int, GradientEdge]]) -> Graph:
    """Return the :class:`Graph` under the ``(task, edge)`` in ``starts``; each node is visited at most twice."""
    graph = Graph()
    for task, edge in starts:
        _claim(graph.owner, edge.node, task)
    for node, owner in graph.owner.items():
        variable = leaf_of(node)
        if variable is not None:
            graph.leaves[owner].append(variable)
            continue
        graph.hides |= node.name() == "CheckpointFunctionBackward"
        if owner != COMMON:
            graph.crossings[owner] += _crossings(node, graph.owner)
    return graph


def leaf_of(node: Node) -> Tensor | None:
    """Return the leaf tensor whose gradient ``node`` accumulates, if it is such a node."""
    return node.variable if isinstance(node, torch._C._functions.AccumulateGrad) else None  # pyright: ignore


def _claim(owner: dict[Node, int], root: Node, task: int) -> None:
    pending = [(root, task)]
    while pending:
        node, claimant = pending.pop()
        holder = owner.get(node)
        if holder in (COMMON, claimant):
            continue
        owner[node] = claimant = claimant if holder is None else COMMON
        pending.extend((below, claimant) for below, _ in node.next_functions if below is not None)


def _crossings(node: Node, owner: dict[Node, int]) -> list[tuple[Node, int, GradientEdge]]:
    return [
        (node, i, GradientEdge(below, port))
        for i, (below, port) in enumerate(node.next_functions)
        if below is not None and owner[below] == COMMON
    ]
