"""The exact Gramian, layer by layer, in memory that grows with neither T·P nor the number of layers."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._deferred import Deferred
from accord.engines._engine import Engine, Problem
from accord.engines._rules import (
    embedding,
    linear_by_samples,
    linear_by_weights,
    linear_weight,
    sampled_is_cheaper,
)
from accord.engines._together import Shortcut, Together


class LayerwiseGramian(Engine):
    """All tasks descend the graph together; at each parameter their gradients meet, are multiplied, and are dropped.

    So no more than one parameter's T gradients exist at a time. For the weight of a linear layer even these are formed
    a few columns at a time, or not at all when inner products between samples are cheaper (few samples, few tasks, wide
    layers), and of an embedding table only the rows that were looked up are. Everything else, tied parameters included,
    takes the general way, which is as exact.

    Hooks on tensors inside the model do not act on the Gramian (they do on the update, which is an ordinary backward),
    and non-reentrant checkpoints are recomputed for every operation in them: use :class:`~accord.engines.Loop` there.

    Cost: at most T backwards, T²·P, and one ordinary backward of the weighted losses. Memory: T gradients of the
    largest parameter that no linear layer owns, and T times the gradients at one cut through the graph.
    """

    name = "gramian"

    def differentiate(self, problem: Problem) -> Deferred:
        return descend(problem, (embedding_table, linear_layer))


def descend(problem: Problem, shortcuts: Sequence[Shortcut]) -> Deferred:
    """Walk the graph for all tasks and return what was found."""
    run = Together(problem, shortcuts)
    run.finish()
    return Deferred(problem, run.sums.each.sum(0), [tuple(own) for own in run.heads], run.sums.each)


def embedding_table(run: Together, node: Node, tasks: list[int], gradients: list[Tensor]) -> bool:
    """Multiply the gradients of an embedding table by the rows that were looked up."""
    below = run.sweep.below[node]
    position = run.alone(below[0][0]) if len(below) == 1 else None
    block = None if position is None else embedding(node, gradients)
    if position is None or block is None:
        return False
    run.sums.add(position, block, tasks)
    return True


def linear_layer(run: Together, node: Node, tasks: list[int], gradients: list[Tensor]) -> bool:
    """Multiply the gradients of a linear layer's weight, between samples or between tasks."""
    layer = weight_of(run, node, gradients)
    if layer is None:
        return False
    rows, position = layer
    block = None
    if sampled_is_cheaper(len(rows), rows.shape[1], gradients[0].shape[1], len(tasks)):
        block = linear_by_samples(rows, gradients)
        squares = block.diagonal()
        if not bool(((squares > 1e-20) & squares.isfinite()).all()):
            block = None  # out of float32's range, or zero: the other way rescales
    run.sums.add(position, linear_by_weights(rows, gradients) if block is None else block, tasks)
    pass_linear(run, node, tasks, gradients)
    return True


def weight_of(run: Together, node: Node, gradients: list[Tensor]) -> tuple[Tensor, int] | None:
    """Return what a linear layer read ``[N, in]`` and the position in ``shared`` of its weight.

    ``None`` where ``node`` is something else, or its weight's gradient also comes from elsewhere.
    """
    layer = linear_weight(node)
    if layer is None or gradients[0].ndim != 2:
        return None
    rows, weight, _ = layer
    upright = weight.name() == "TBackward0" and run.sweep.uses.get(weight) == 1
    position = run.alone(run.sweep.below[weight][0][0] if upright else weight)
    return None if position is None else (rows, position)


def pass_linear(run: Together, node: Node, tasks: list[int], gradients: list[Tensor]) -> None:
    """Send the gradients of a linear layer's bias and input on, without forming its weight's."""
    below, affine = run.sweep.below[node], node.name() == "AddmmBackward0"
    bias, child = below[0] if affine else (None, 0), below[affine]
    for task, gradient in zip(tasks, gradients, strict=True):
        if bias[0] is not None:
            run.sweep.add(bias[0], bias[1], task, gradient)
        if child[0] is not None and child[0] in run.sweep.uses:
            matrix = node._saved_mat2  # pyright: ignore[reportAttributeAccessIssue]
            run.sweep.add(child[0], child[1], task, gradient @ matrix.T)
