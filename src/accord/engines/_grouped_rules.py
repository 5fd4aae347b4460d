"""Gradients by task of parameters that are small, from one gradient that carries all tasks' samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._convolutions import Convolution
from accord.engines._layers import by_task as product_by_task
from accord.engines._layout import ELEMENTWISE, kind, sample_axis
from accord.engines._samples import Rows, Samples

# A rule returns, by input of the node, the gradients [T, ...] of the parameters among them.
Found = dict[int, Tensor]


def by_task(
    node: Node, gradient: Tensor, layout: int, samples: Samples, owned: Sequence[int], raw: Sequence[Tensor | None]
) -> Found:
    """Return the gradients of the inputs ``owned`` of ``node`` by task, as far as some rule knows them.

    Args:
        node: an operation.
        gradient: of its first output.
        layout: that of its output.
        samples: the batch.
        owned: which of its inputs are parameters.
        raw: for elementwise operations, what the node returned, for those in ``APART`` what that did; empty for others.
    """
    name, tasks = kind(node), samples.of(tuple(gradient.shape), layout)
    if name in ELEMENTWISE:
        axis = sample_axis(gradient.shape, layout, len(samples.task))
        return {} if axis is None else _elementwise(node, gradient, axis[0], tasks, owned, raw)
    if name in APART:
        return {i: tasks.total(values) for i in owned if (values := raw[i]) is not None}
    rule = _RULES.get(name)
    return {} if rule is None else rule(node, gradient, tasks, owned)


def _elementwise(
    node: Node, gradient: Tensor, axis: int, tasks: Rows, owned: Sequence[int], raw: Sequence[Tensor | None]
) -> Found:
    """Sum over each task's samples where a parameter was broadcast over the samples' axis and those before it."""
    found: Found = {}
    for i in owned:
        child, port = node.next_functions[i]
        values = gradient if kind(node) == "Expand" else raw[i]
        if child is None or values is None or values.shape != gradient.shape:
            continue
        shape = tuple(int(size) for size in child._input_metadata[port].shape)
        padded = (1,) * (gradient.ndim - len(shape)) + shape
        if prod(padded[: axis + 1]) == 1:
            tail = gradient.shape[axis + 1 :]
            rows = values.reshape(len(tasks.task), *tail)
            broadcast = [k for k, size in enumerate(padded[axis + 1 :], start=1) if size == 1 and tail[k - 1] != 1]
            rows = rows.sum(broadcast) if broadcast else rows
            found[i] = tasks.total(rows.flatten(1) if rows.ndim > 1 else rows[:, None]).view(-1, *shape)
    return found


def _linear(node: Node, gradient: Tensor, tasks: Rows, owned: Sequence[int]) -> Found:
    """Return the weight's and the bias's where the weight is not held as a layer, as when it is used twice."""
    bias, found = kind(node) == "Addmm", Found()
    if bias and (node._saved_alpha != 1 or node._saved_beta != 1):  # pyright: ignore
        return found
    inputs = getattr(node, "_saved_mat1" if bias else "_saved_self", None)
    if bias and 0 in owned:
        found[0] = tasks.total(gradient)
    if inputs is not None and 1 + bias in owned:
        found[1 + bias] = product_by_task(inputs, gradient, tasks)
    return found


def _convolution(node: Node, gradient: Tensor, tasks: Rows, owned: Sequence[int]) -> Found:
    found = {2: tasks.total(gradient.flatten(2).sum(2))} if 2 in owned else {}
    if 1 in owned:
        shape = node._saved_weight.shape  # pyright: ignore[reportAttributeAccessIssue]
        found[1] = Convolution(node, gradient, tasks, room=True).rows().view(-1, *shape)
    return found


def _layer_norm(node: Node, gradient: Tensor, tasks: Rows, _: Sequence[int]) -> Found:
    shape = tuple(int(size) for size in node._saved_normalized_shape)  # pyright: ignore
    mean, scale = node._saved_result1, node._saved_result2  # pyright: ignore
    normal = (node._saved_input - mean).mul_(scale).mul_(gradient)  # pyright: ignore
    sums = [values.reshape(len(tasks.task), -1, *shape).sum(1) for values in (normal, gradient)]
    return {i: tasks.total(values.flatten(1)).view(-1, *shape) for i, values in enumerate(sums, start=1)}


def _rms_norm(node: Node, gradient: Tensor, tasks: Rows, _: Sequence[int]) -> Found:
    shape = tuple(int(size) for size in node._saved_normalized_shape)  # pyright: ignore
    normal = node._saved_input * node._saved_result1 * gradient  # pyright: ignore
    return {1: tasks.total(normal.reshape(len(tasks.task), -1, *shape).sum(1).flatten(1)).view(-1, *shape)}


def _group_norm(node: Node, gradient: Tensor) -> tuple[Tensor | None, ...]:
    """Return the gradients of what group normalisation read, and by sample ``[N, C]`` those of factor and offset.

    To the library, N samples of C channels are one sample of N C channels here, each with a factor and an offset of its
    own, whose gradients it then does not add up.
    """
    inputs, weight = node._saved_input.contiguous(), node._saved_weight  # pyright: ignore[reportAttributeAccessIssue]
    count, channels = inputs.shape[:2]
    below, factor, offset = torch.ops.aten.native_group_norm_backward(
        gradient.contiguous(),
        inputs,
        node._saved_result1.view(1, -1),  # pyright: ignore[reportAttributeAccessIssue]
        node._saved_result2.view(1, -1),  # pyright: ignore[reportAttributeAccessIssue]
        None if weight is None else weight.repeat(count),
        1,
        count * channels,
        node._saved_HxW,  # pyright: ignore[reportAttributeAccessIssue]
        count * node._saved_group,  # pyright: ignore[reportAttributeAccessIssue]
        [True, True, True],
    )
    return below.view_as(inputs), factor.view(count, channels), offset.view(count, channels)


def _batch_norm(node: Node, gradient: Tensor, tasks: Rows, _: Sequence[int]) -> Found:
    """Of batch normalisation with frozen statistics; the other kind has been refused."""
    mean, scale = node._saved_running_mean, (node._saved_running_var + node._saved_eps).rsqrt()  # pyright: ignore
    plain = gradient.flatten(2).sum(2) if gradient.ndim > 2 else gradient
    crossed = gradient * node._saved_input  # pyright: ignore
    crossed = crossed.flatten(2).sum(2) if gradient.ndim > 2 else crossed
    return {1: tasks.total((crossed - mean * plain) * scale), 2: tasks.total(plain)}


_RULES: dict[str, Callable[[Node, Tensor, Rows, Sequence[int]], Found]] = {
    "Addmm": _linear,
    "Mm": _linear,
    "Convolution": _convolution,
    "NativeLayerNorm": _layer_norm,
    "FusedRmsNorm": _rms_norm,
    "NativeBatchNorm": _batch_norm,
    "CudnnBatchNorm": _batch_norm,
}

# Operations whose gradients, of what they read and of parameters by sample, come from one call.
APART: dict[str, Callable[[Node, Tensor], tuple[Tensor | None, ...]]] = {"NativeGroupNorm": _group_norm}


def masked(gradient: Tensor, layout: int, samples: Samples) -> list[Tensor]:
    """Return ``gradient`` T times, each with one task's samples only: the way for parameters that no rule knows."""
    tasks = samples.of(tuple(gradient.shape), layout)
    rows = gradient.reshape(len(tasks.task), -1)
    return [torch.where((tasks.task == t)[:, None], rows, 0).view(gradient.shape) for t in range(samples.tasks)]
