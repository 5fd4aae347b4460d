"""Keep one task's non-finite gradient out of the trunk during an ordinary backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._graph import Graph
from accord.engines._health import magnitudes

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


def _filter(ports: list[int], seen: list[Tensor]) -> Callable[[Inputs, Inputs], Inputs]:
    def hook(inputs: Inputs, _: Inputs) -> Inputs:
        return tuple(_pass(gradient, seen) if i in ports else gradient for i, gradient in enumerate(inputs))

    return hook


def _pass(gradient: Tensor | None, seen: list[Tensor]) -> Tensor | None:
    """Note how large ``gradient`` is, and return it if it is finite, else zeros."""
    sizes = magnitudes([gradient])
    seen += sizes
    if gradient is None or not sizes:
        return gradient
    # On accelerators the choice is made there: asking would stop the queue once per task.
    if gradient.device.type != "cpu":
        return torch.where(sizes[0].isfinite(), gradient, 0)
    return gradient if bool(sizes[0].isfinite()) else torch.zeros_like(gradient)
