"""Tell from the graph where descending layer by layer saves much memory and costs little time."""

from __future__ import annotations

from math import prod

from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._autograd import explained
from accord.engines._engine import Problem
from accord.engines._graph import COMMON, leaf_of
from accord.engines._hooks import hooked

# Where a linear layer's weight stands among the inputs of its operation, and what it saved of its own input.
_LINEAR = {"AddmmBackward0": (2, "_saved_mat1"), "MmBackward0": (1, "_saved_self")}
# From so many tasks on, one more backward is a small part of T.
_TASKS = 16
# How many times as large as the gradients between layers those of the parameters must be.
_RATIO = 4
# The part of the shared numbers that linear layers must own.
_SHARE = 0.9


def slim(problem: Problem) -> bool:
    """Whether :class:`~accord.engines.LayerwiseGramian` needs far less memory than a Jacobian, in about its time.

    That is so where nearly all shared numbers are weights of linear layers that are larger than what flows between
    them, many tasks share them, and nothing is in the way: checkpoints, whose activations would be computed anew for
    every operation, and hooks as far as they can be seen. Measured on a perceptron of 40 tasks on a busy machine: half
    the memory, 2 % less to 10 % more processor time.
    """
    count = len(problem.objectives.started())
    size = sum(tensor.numel() * tensor.element_size() for tensor in problem.shared)
    if count < _TASKS or _hooked(problem):
        return False
    trunk = [node for node, owner in problem.graph.owner.items() if owner == COMMON and leaf_of(node) is None]
    between = max((_bytes(node) for node in trunk if node.name() != "TBackward0"), default=0)
    if _RATIO * between > size:
        return False
    linear = [node for node in trunk if node.name() in _LINEAR]
    shared = {id(tensor) for tensor in problem.shared}
    owned = {id(leaf): leaf.numel() for leaf in map(_weight, linear) if leaf is not None and id(leaf) in shared}
    total = sum(tensor.numel() for tensor in problem.shared)
    return sum(owned.values()) >= _SHARE * total and not any(map(_recomputed, linear))


def _bytes(node: Node) -> int:
    return max((prod(meta.shape) * meta.dtype.itemsize for meta in node._input_metadata), default=0)


def _weight(node: Node) -> Tensor | None:
    below = node.next_functions[_LINEAR[node.name()][0]][0]
    if below is not None and below.name() == "TBackward0":
        below = below.next_functions[0][0]
    return None if below is None else leaf_of(below)


def _recomputed(node: Node) -> bool:
    """Whether what ``node`` saved is made anew whenever somebody looks."""
    name = _LINEAR[node.name()][1]
    with explained():
        first, second = getattr(node, name), getattr(node, name)
    return first is not None and first.data_ptr() != second.data_ptr()


def _hooked(problem: Problem) -> bool:
    return bool(hooked(problem.shared)) or any(
        node.name() == "BackwardHookFunctionBackward" for node in problem.graph.owner
    )
