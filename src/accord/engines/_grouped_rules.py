"""Gradients of a layer's parameters by task, from one gradient that carries all tasks' samples."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._layout import kind
from accord.engines._samples import Samples

# A rule returns, by input of the node, the gradients [T, ...] of the parameters among them.
Found = dict[int, Tensor]


def by_task(node: Node, gradient: Tensor, layout: int, samples: Samples, owned: list[int]) -> Found | None:
    """Return the gradients of the inputs ``owned`` of ``node`` by task; ``None`` where no rule knows the layer."""
    if kind(node) == "Addmm" and owned == [0]:
        return {0: samples.total(gradient, samples.of(tuple(gradient.shape), layout))}
    if kind(node) == "Add":
        return _bias(node, gradient, layout, samples, owned)
    rule = _RULES.get(kind(node))
    return None if rule is None else rule(node, gradient, layout, samples)


def _bias(node: Node, gradient: Tensor, layout: int, samples: Samples, owned: list[int]) -> Found | None:
    """Sum over each task's samples where a parameter was added that varies over no axis up to the samples' own."""
    if node._saved_alpha != 1:  # pyright: ignore
        return None
    task = samples.of(tuple(gradient.shape), layout)
    axis = next(i for i in range(gradient.ndim) if prod(gradient.shape[: i + 1]) == len(task))
    edges = [node.next_functions[i] for i in owned]
    if any(child is None or len(child._input_metadata[port].shape) >= gradient.ndim - axis for child, port in edges):
        return None
    sums = samples.total(gradient.reshape(len(task), -1), task).view(-1, *gradient.shape[axis + 1 :])
    return dict.fromkeys(owned, sums)


def _linear(node: Node, gradient: Tensor, layout: int, samples: Samples) -> Found | None:
    bias = kind(node) == "Addmm"
    rows = getattr(node, "_saved_mat1" if bias else "_saved_self", None)
    if rows is None or (bias and node._saved_alpha != 1):  # pyright: ignore
        return None
    task = samples.of(tuple(gradient.shape), layout)
    order = task.argsort(stable=True)
    sizes = torch.bincount(task, minlength=samples.tasks + 1).tolist()[: samples.tasks]
    inside = order[: sum(sizes)]
    lefts, rights = rows[inside].split(sizes), gradient[inside].split(sizes)
    weights = torch.stack([left.T @ right for left, right in zip(lefts, rights, strict=True)])
    return {0: samples.total(gradient, task), 2: weights} if bias else {1: weights}


def _convolution(node: Node, gradient: Tensor, layout: int, samples: Samples) -> Found:
    saved = node  # its attributes are made at run time
    inputs, weight = saved._saved_input, saved._saved_weight  # pyright: ignore
    sizes = saved._saved_bias_sym_sizes_opt  # pyright: ignore
    has_bias = node.next_functions[2][0] is not None
    task = samples.of(tuple(gradient.shape), layout)
    weights, biases = [], []
    for t in range(samples.tasks):
        mine = (task == t).nonzero().squeeze(1)
        if not len(mine):
            weights.append(torch.zeros_like(weight))
            biases.append(gradient.new_zeros(gradient.shape[1]))
            continue
        _, by_weight, by_bias = torch.ops.aten.convolution_backward(
            gradient[mine],
            inputs[mine],
            weight,
            sizes,
            saved._saved_stride,  # pyright: ignore
            saved._saved_padding,  # pyright: ignore
            saved._saved_dilation,  # pyright: ignore
            saved._saved_transposed,  # pyright: ignore
            saved._saved_output_padding,  # pyright: ignore
            saved._saved_groups,  # pyright: ignore
            [False, True, has_bias],
        )
        weights.append(by_weight)
        biases.append(by_bias)
    return {1: torch.stack(weights), 2: torch.stack(biases)} if has_bias else {1: torch.stack(weights)}


def _layer_norm(node: Node, gradient: Tensor, layout: int, samples: Samples) -> Found:
    shape = tuple(int(size) for size in node._saved_normalized_shape)  # pyright: ignore
    mean, scale = node._saved_result1, node._saved_result2  # pyright: ignore
    normal = (node._saved_input - mean) * scale  # pyright: ignore
    task = samples.of(tuple(gradient.shape), layout)
    rows = len(task)
    products, plain = (gradient * normal).reshape(rows, -1, *shape), gradient.reshape(rows, -1, *shape)
    pairs = enumerate((products.sum(1), plain.sum(1)), start=1)
    return {i: samples.total(values.flatten(1), task).view(-1, *shape) for i, values in pairs}


def _embedding(node: Node, gradient: Tensor, layout: int, samples: Samples) -> Found | None:
    if node._saved_scale_grad_by_freq or node._saved_sparse:  # pyright: ignore
        return None
    indices = node._saved_indices.reshape(-1)  # pyright: ignore
    rows, width = int(node._saved_weight_sym_argsize_0), gradient.shape[-1]  # pyright: ignore
    task = samples.of(tuple(gradient.shape), layout)
    task = task.repeat_interleave(len(indices) // len(task))
    table = gradient.new_zeros(samples.tasks + 1, rows, width)
    table.view(-1, width).index_add_(0, task * rows + indices, gradient.reshape(-1, width))
    padding = node._saved_padding_idx  # pyright: ignore
    if 0 <= padding < rows:
        table[:, padding] = 0
    return {0: table[: samples.tasks]}


_RULES: dict[str, Callable[[Node, Tensor, int, Samples], Found | None]] = {
    "Addmm": _linear,
    "Mm": _linear,
    "Convolution": _convolution,
    "NativeLayerNorm": _layer_norm,
    "Embedding": _embedding,
}


def masked(gradient: Tensor, layout: int, samples: Samples) -> list[Tensor]:
    """Return ``gradient`` T times, each with one task's samples only: the way for parameters that no rule knows."""
    task = samples.of(tuple(gradient.shape), layout)
    rows = gradient.reshape(len(task), -1)
    return [torch.where((task == t)[:, None], rows, 0).view(gradient.shape) for t in range(samples.tasks)]
