"""Gradients passed through large weights in bfloat16, where processors are several times as fast with it."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import torch
from torch import Tensor
from torch.autograd.graph import Node

from accord.engines._projection import Convolution
from accord.engines._rules import through_linear

# Multiplications from which on converting costs little beside them.
_LARGE = 2**22


class Passage:
    """Ways through the weights of layers for the gradients of all tasks, one after the other.

    Large products of float32 numbers are taken of their roundings to bfloat16, eight bits each, and added up in
    float32: a relative error of some 0.3 % of a gradient's length, without a bias that tasks share.

    Args:
        dtype: ``torch.bfloat16``, or ``torch.float32`` for none of this; ``None`` is bfloat16 on processors that
            multiply it.
    """

    def __init__(self, dtype: torch.dtype | None) -> None:
        self._dtype = dtype
        self._weights: dict[Node, Tensor] = {}

    def linear(self, node: Node, gradient: Tensor) -> Tensor:
        """Return the gradient ``[N, in]`` of what a linear layer read, given ``[N, out]`` of what it gave."""
        weight = node._saved_mat2  # pyright: ignore[reportAttributeAccessIssue]
        if not self._narrows(gradient, weight, len(gradient)):
            return through_linear(node, gradient)
        return (gradient.bfloat16() @ self._short(node, weight).T).float()

    def convolution(self, node: Node, layer: Convolution, gradient: Tensor) -> Tensor:
        """Return the gradient of what a convolution read."""
        if not self._narrows(gradient, layer.weight, prod(gradient.shape) // gradient.shape[1]):
            return layer.backward(gradient, [True, False, False])[0]
        # Of what was read, only the shape matters here.
        inputs = gradient.new_empty(layer.inputs.shape, dtype=torch.bfloat16)
        short = replace(layer, inputs=inputs, weight=self._short(node, layer.weight))
        return short.backward(gradient.bfloat16(), [True, False, False])[0].float()

    def _narrows(self, gradient: Tensor, weight: Tensor, rows: int) -> bool:
        if gradient.dtype != torch.float32 or weight.dtype != torch.float32 or rows * weight.numel() < _LARGE:
            return False
        return self._dtype == torch.bfloat16 or (
            self._dtype is None and gradient.device.type == "cpu" and _multiplied()
        )

    def _short(self, node: Node, weight: Tensor) -> Tensor:
        if node not in self._weights:
            self._weights[node] = weight.bfloat16()
        return self._weights[node]


def _multiplied() -> bool:
    """Whether this processor multiplies numbers of bfloat16: in tiles (AMX), or by twos (AVX-512)."""
    known = getattr(torch.cpu, "get_capabilities", dict)()
    return any(known.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
