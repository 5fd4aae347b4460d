"""Keep one task's non-finite gradient out of the trunk during an ordinary backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._graph import Graph

Inputs = tuple[Tensor | None, ...]


@contextmanager
def guarded(graph: Graph) -> Iterator[dict[int, list[Tensor]]]:
    """Replace what is not finite by zero where a task's gradient leaves its head for the trunk.

    Yields:
        By task, the largest magnitudes that wanted to pass; those of a healthy task are finite.

    A loss that is itself computed by operations common to several tasks (a vector of losses from one expression) has no
    such place, and its gradient passes as in any backward.
    """
    seen: dict[int, list[Tensor]] = {}
    handles = []
    for task, crossings in graph.crossings.items():
        ports: dict[Node, list[int]] = {}
        for node, i, _ in crossings:
            ports.setdefault(node, []).append(i)
        seen[task] = []
        handles += [node.register_hook(_filter(where, seen[task])) for node, where in ports.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _filter(ports: list[int], seen: list[Tensor]) -> Callable[[Inputs, Inputs], Inputs | None]:
    def hook(inputs: Inputs, _: Inputs) -> Inputs | None:
        cleaned = list(inputs)
        for i in ports:
            gradient = inputs[i]
            if gradient is not None and not gradient.is_sparse:
                largest = torch.linalg.vector_norm(gradient.detach(), float("inf"))
                seen.append(largest)
                # On accelerators the choice is made there: asking would stop the queue once per task.
                if gradient.device.type != "cpu":
                    cleaned[i] = torch.where(largest.isfinite(), gradient, 0)
                elif not bool(largest.isfinite()):
                    cleaned[i] = torch.zeros_like(gradient)
        return tuple(cleaned)

    return hook
