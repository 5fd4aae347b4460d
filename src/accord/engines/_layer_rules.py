"""Which weights are held as layers when one gradient carries all tasks' samples."""

from __future__ import annotations

from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._convolutions import Convolution
from accord.engines._costs import cheapest
from accord.engines._layers import Layer, Linear
from accord.engines._rules import linear_weight
from accord.engines._samples import Rows
from accord.engines._tables import table_of


def layer_of(node: Node, i: int, gradient: Tensor, tasks: Rows, upright: bool, room: int) -> Layer | None:
    """Return the layer whose weight is input ``i`` of ``node``; ``None`` where no kind of layer knows it.

    Args:
        node: an operation.
        i: which of its inputs is a weight.
        gradient: of its output.
        tasks: those of the slices of the output up to its sample axis.
        upright: whether the weight is stored transposed.
        room: bytes that may still be kept.
    """
    linear = linear_weight(node)
    if linear is not None and i == linear[2]:
        inputs = linear[0]
        inner, outer, count = inputs.shape[1], gradient.shape[1], len(tasks.sizes)
        size = count * inner * outer * inputs.element_size()
        way = cheapest(len(inputs), inner, outer, count, room=size <= room)
        return Linear(inputs, gradient, tasks, way, upright)
    if upright:
        return None
    if node.name() == "ConvolutionBackward0" and i == 1:
        weight = node._saved_weight  # pyright: ignore[reportAttributeAccessIssue]
        size = len(tasks.sizes) * weight.numel() * weight.element_size()
        return Convolution(node, gradient, tasks, room=size <= room)
    return table_of(node, gradient, tasks) if i == 0 else None
