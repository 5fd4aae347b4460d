"""Gramian blocks of single layers from what they read and the gradients of what they gave."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._pages import release_memory, rows_apart
from accord.engines._products import products, wide

# Bytes of gradients of one weight that exist at a time: fewer, and products of too few columns take longer.
_BLOCK = 3 * 2**25
# Bytes of them from which on holes in the heap are closed first.
_HEAVY = 2**26
# Columns are cut where a line of the processor's cache ends.
_LINE = 16


def linear_weight(node: Node) -> tuple[Tensor, Node, int] | None:
    """Return a linear layer's input ``[N, in]``, the node of its weight and that one's place; else ``None``."""
    if node.name() == "AddmmBackward0" and node._saved_alpha == 1:  # pyright: ignore
        saved, place = "_saved_mat1", 2
    elif node.name() == "MmBackward0":
        saved, place = "_saved_self", 1
    else:
        return None
    weight = node.next_functions[place][0]
    rows = getattr(node, saved, None)
    return None if weight is None or rows is None else (rows, weight, place)


def sampled_is_cheaper(rows: int, inputs: int, outputs: int, tasks: int) -> bool:
    """Whether inner products between samples take fewer multiplications than one weight gradient per task.

    Samples: ``N² in`` once and ``N² out`` for each pair of tasks. Weights: ``N in out`` per task, ``in out`` per pair.
    """
    pairs = tasks * (tasks + 1) // 2
    return rows * rows * (inputs + pairs * outputs) < inputs * outputs * (tasks * rows + pairs)


def through_linear(node: Node, gradient: Tensor) -> Tensor:
    """Return the gradient ``[N, in]`` of what the linear layer ``node`` read, given ``[N, out]`` of what it gave."""
    return gradient @ node._saved_mat2.T  # pyright: ignore[reportAttributeAccessIssue]


def linear_by_samples(inputs: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """Return the Gramian ``[k, k]`` (float64) of a weight's gradients without forming them.

    ``<XᵀA, XᵀB> = sum over samples n, m of (XXᵀ)[n, m] (ABᵀ)[n, m]``.

    Args:
        inputs: ``X [N, in]``.
        gradients: k gradients ``[N, out]`` of the layer's output.
    """
    near = _single(inputs)
    near = near @ near.T
    stack = _single(torch.stack(list(gradients)))
    count, rows, width = stack.shape
    gramian = torch.zeros(count, count, dtype=torch.float64, device=wide(stack.device))
    for task in range(count):
        others = (stack[task] @ stack[task:].reshape(-1, width).T).view(rows, count - task, rows)
        gramian[task, task:] = gramian[task:, task] = torch.einsum("nkm,nm->k", others, near).to(gramian)
    return gramian


def linear_by_weights(inputs: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """Return the Gramian ``[k, k]`` (float64) of a weight's gradients ``XᵀA``, formed a few columns at a time.

    Arguments are those of :func:`linear_by_samples`. Memory: k times as many columns as fit into 96 MiB.
    """
    count, (_, inner), outer = len(gradients), inputs.shape, gradients[0].shape[1]
    fit = max(1, _BLOCK // (count * inner * inputs.element_size()))
    width = -(-outer // -(-outer // fit))  # as many columns in each piece, so that none has but a few
    width = min(outer, -(-width // _LINE) * _LINE)
    if count * inner * width * inputs.element_size() > _HEAVY and inputs.device.type == "cpu":
        release_memory()  # here most memory is in use, and the way from layer to layer has left holes in the heap
    room = rows_apart(count, inner * width, inputs.dtype, inputs.device)
    gramian = torch.zeros(count, count, dtype=torch.float64, device=wide(inputs.device))
    for start in range(0, outer, width):
        stop = min(start + width, outer)
        rows = room[:, : inner * (stop - start)]
        for row, gradient in zip(rows.view(count, inner, -1), gradients, strict=True):
            torch.mm(inputs.T, gradient[:, start:stop], out=row)
        gramian += products([rows])
    return gramian


def looked_up(node: Node, gradients: Sequence[Tensor]) -> Tensor | None:
    """Return an embedding table's gradients ``[k, n]`` in the rows that were looked up, the only ones that are not 0.

    ``None`` when the node is something else, or scales gradients by frequency.
    """
    if node.name() != "EmbeddingBackward0" or node._saved_scale_grad_by_freq:  # pyright: ignore
        return None
    indices = node._saved_indices.reshape(-1)  # pyright: ignore
    found, place = indices.unique(return_inverse=True)
    stack = _single(torch.stack([gradient.reshape(len(indices), -1) for gradient in gradients]))
    table = stack.new_zeros(len(stack), len(found), stack.shape[2]).index_add_(1, place, stack)
    padding = node._saved_padding_idx  # pyright: ignore
    table[:, found == padding] = 0
    return table.flatten(1)


def _single(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
