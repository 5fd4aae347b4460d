"""Whether every sample belongs to one task, as far as the graph alone can tell."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge, Node

from accord.engines._engine import Problem
from accord.engines._graph import COMMON
from accord.engines._picks import cut, picked


def apart(problem: Problem) -> bool:
    """Whether each of several tasks enters the trunk by a selection of samples that no other task selects.

    ``False`` also where samples are told apart by masks in the losses, which the graph does not show.
    """
    started = problem.objectives.started()
    graph = problem.graph
    if len(started) < 2:
        return False
    taken: dict[tuple[Node | None, int], list[Tensor]] = defaultdict(list)
    for task, start in started:
        # A loss that is one of several outputs of a cut, as of ``losses.unbind()``, has no head.
        common = graph.owner[start.node] == COMMON
        crossings = [(start.node, 0, start)] if common else graph.crossings[task]
        if not crossings:
            return False
        found: dict[tuple[Node | None, int], list[Tensor]] = defaultdict(list)
        for node, _, edge in crossings:
            entry = _entry(node, edge)
            if entry is None:
                return False
            found[entry[0]].append(entry[1])
        for port, several in found.items():  # one task may select the same sample twice
            taken[port].append(torch.cat(several).unique())
    return all(len(rows := torch.cat(several)) == len(rows.unique()) for several in taken.values())


def _entry(node: Node, edge: GradientEdge) -> tuple[tuple[Node | None, int], Tensor] | None:
    """Return which tensor of the trunk is entered and at which rows; ``None`` where all of it is."""
    inside = cut(edge.node, edge.output_nr)
    if inside is not None:
        return edge.node.next_functions[0], torch.arange(inside.start, inside.stop)
    rows = picked(node)
    return None if rows is None else ((edge.node, edge.output_nr), rows)
