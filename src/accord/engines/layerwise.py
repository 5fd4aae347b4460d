"""The exact Gramian, layer by layer, in memory that grows with neither T·P nor the number of layers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._deferred import Deferred
from accord.engines._engine import Engine, Problem
from accord.engines._hooks import refuse_hooks
from accord.engines._pages import release_memory
from accord.engines._products import Sums, products
from accord.engines._rules import (
    linear_by_samples,
    linear_by_weights,
    linear_weight,
    looked_up,
    sampled_is_cheaper,
    through_linear,
)
from accord.engines._together import Arrived, Together, firsts

# Bytes of the Jacobian that is not formed from which on what its walk leaves in the heap is worth returning.
_LARGE = 2**28


class LayerwiseGramian(Engine):
    """All tasks descend the graph together; at each parameter their gradients meet, are multiplied, and are dropped.

    So no more than one parameter's T gradients exist at a time. For the weight of a linear layer even these are formed
    a few columns at a time, or not at all when inner products between samples are cheaper (few samples, few tasks, wide
    layers), and of an embedding table only the rows that were looked up are. Everything else, tied parameters included,
    takes the general way, which is as exact.

    Hooks on parameters are refused. Those on tensors inside the model do not act on the Gramian, nor on what heads
    receive, but on the shared parameters' update, which is an ordinary backward; an
    :class:`~accord.errors.InexactGramianWarning` says so where that changes its length by a hundredth.
    Non-reentrant checkpoints are recomputed for every operation in them. Use :class:`~accord.engines.Loop` for both.

    Cost: at most T backwards, T²·P, and one ordinary backward of the weighted losses. Memory: T gradients of the
    largest parameter that no linear layer owns, and T times the gradients at one cut through the graph.
    """

    name = "gramian"

    def differentiate(self, problem: Problem) -> Deferred:
        refuse_hooks(self.name, [*problem.shared, *chain(*problem.own)])
        sums = Sums(len(problem.objectives.names), problem.groups, problem.objectives.values.device)

        def multiply(position: int, tasks: list[int], rows: Tensor) -> None:
            sums.add(position, products([rows]), tasks)

        def linear_layer(run: Together, node: Node, arrived: Arrived) -> bool:
            layer = weight_of(run, node)
            if layer is not None:
                sums.add(layer[1], _linear_block(layer[0], firsts(arrived)), list(arrived))
                pass_linear(run, node, arrived, through_linear)
            return layer is not None

        run = Together(problem, (embedding_table, linear_layer), multiply)
        run.finish()
        if len(problem.objectives.started()) * sum(one.numel() * one.element_size() for one in problem.shared) > _LARGE:
            release_memory()
        heads = [tuple(own) for own in run.heads]
        return Deferred(problem, sums.each.sum(0), heads, sums.each, exact=not _halved(problem))


def _halved(problem: Problem) -> bool:
    """Whether numbers of half precision's narrow range are among the gradients: weighted ones may underflow."""
    return any(meta.dtype == torch.float16 for node in problem.graph.owner for meta in node._input_metadata)


def embedding_table(run: Together, node: Node, arrived: Arrived) -> bool:
    """Hand over the gradients of an embedding table in the rows that were looked up."""
    below = run.sweep.below[node]
    position = run.alone(below[0][0]) if len(below) == 1 else None
    rows = None if position is None else looked_up(node, firsts(arrived))
    if position is None or rows is None:
        return False
    run.meet(position, list(arrived), rows)
    return True


def _linear_block(rows: Tensor, gradients: list[Tensor]) -> Tensor:
    """Return the inner products of a linear layer's weight gradients, between samples or between tasks."""
    if sampled_is_cheaper(len(rows), rows.shape[1], gradients[0].shape[1], len(gradients)):
        block = linear_by_samples(rows, gradients)
        squares = block.diagonal()
        if bool(((squares > 1e-20) & squares.isfinite()).all()):
            return block  # otherwise out of float32's range, or zero: the other way rescales
    return linear_by_weights(rows, gradients)


def weight_of(run: Together, node: Node) -> tuple[Tensor, int] | None:
    """Return what a linear layer read ``[N, in]`` and the position in ``shared`` of its weight.

    ``None`` where ``node`` is something else, or its weight's gradient also comes from elsewhere.
    """
    layer = linear_weight(node)
    if layer is None:
        return None
    rows, weight, _ = layer
    upright = weight.name() == "TBackward0" and run.uses.get(weight) == 1
    position = run.alone(run.sweep.below[weight][0][0] if upright else weight)
    return None if position is None else (rows, position)


def pass_linear(run: Together, node: Node, arrived: Arrived, through: Callable[[Node, Tensor], Tensor]) -> None:
    """Send the gradients of a linear layer's bias and input on, without forming its weight's.

    Each of ``arrived`` is dropped when it was sent on, so that only one task has gradients on both sides.

    Args:
        run: the walk.
        node: the layer.
        arrived: the gradients of what it gave, by task.
        through: returns the gradient of what it read, given one of these.
    """
    below, affine = run.sweep.below[node], node.name() == "AddmmBackward0"
    bias, child = below[0] if affine else (None, 0), below[affine]
    for task in list(arrived):
        (gradient,) = arrived.pop(task)
        assert gradient is not None
        if bias[0] is not None:
            run.sweep.add(bias[0], bias[1], task, gradient)
        if child[0] is not None and child[0] in run.sweep.uses:
            run.sweep.add(child[0], child[1], task, through(node, gradient))
