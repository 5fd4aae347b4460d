"""Random projections of what a layer reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod, sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.graph import Node


@dataclass(frozen=True, slots=True)
class Projection:
    """Where the random numbers of one step come from.

    Attributes:
        size: k.
        seed: chosen by people.
        step: which of the steps with this seed.
    """

    size: int
    seed: int
    step: int

    def basis(self, width: int, position: int, widen: Callable[[Tensor], Tensor]) -> Tensor:
        """Return ``R [width, k]`` of parameter ``position``: ``E[RRᵀ] = I``. See :class:`~accord.engines.Sketch`.

        Args:
            width: how many numbers the layer reads at a time, above k.
            position: which parameter, so that every one has its own draws.
            widen: ``[width, q] -> XᵀX [width, q]``, whose range leans towards the directions in which X is large.
        """
        # Mixed, so that neighbouring seeds, steps and layers share no draws.
        mixed = np.random.SeedSequence((self.seed, self.step, position)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(mixed) % 2**63)
        kept = self.size // 2
        guesses = torch.randn(width, kept, generator=generator)
        others = torch.randn(width, self.size - kept, generator=generator, dtype=torch.float64)
        found = widen(guesses).to("cpu", torch.float64)
        if not bool(found.isfinite().all()):
            found = guesses.double()  # any directions will do, and the gradients of such a layer will say what is wrong
        large = torch.linalg.qr(found)[0]
        # Twice is enough for orthogonality to the last digit.
        for _ in range(2):
            others = others - large @ (large.T @ others)
        rest = torch.linalg.qr(others)[0]
        return torch.cat([large, rest * sqrt((width - kept) / (self.size - kept))], dim=1)


def project_rows(rows: Tensor, projection: Projection, position: int) -> Tensor:
    """Return ``XR [N, k]`` of a linear layer's input ``X [N, in]``; ``X`` itself when that is no wider."""
    width = rows.shape[1]
    if width <= projection.size:
        return rows
    basis = projection.basis(width, position, lambda guesses: rows.T @ (rows @ guesses.to(rows)))
    return rows @ basis.to(rows)


def project_convolution(layer: Convolution, projection: Projection, position: int) -> Tensor:
    """Return ``[N, k, *places]``: the patches that a convolution reads, projected; itself a convolution."""

    def widen(guesses: Tensor) -> Tensor:
        kernels = layer.kernels(guesses)
        return layer.backward(layer.forward(kernels), [False, True, False], kernels)[1].flatten(1).T

    return layer.forward(layer.kernels(projection.basis(layer.patch, position, widen)))


@dataclass(frozen=True, slots=True)
class Convolution:
    """A convolution as autograd saved it.

    Attributes:
        inputs: ``[N, in, *places]``.
        weight: ``[out, in, *kernel]``.
        bias: the sizes of its bias, ``None`` without.
        options: stride, padding, dilation, transposed, output padding, groups.
    """

    inputs: Tensor
    weight: Tensor
    bias: list[int] | None
    options: tuple[Any, ...]

    @staticmethod
    def of(node: Node) -> Convolution | None:
        """Return the convolution that ``node`` differentiates; ``None`` for others, transposed and grouped ones."""
        if node.name() != "ConvolutionBackward0":
            return None
        saved: Any = node
        if saved._saved_transposed or saved._saved_groups != 1:
            return None
        names = ("stride", "padding", "dilation", "transposed", "output_padding", "groups")
        options = tuple(getattr(saved, f"_saved_{name}") for name in names)
        return Convolution(saved._saved_input, saved._saved_weight, saved._saved_bias_sym_sizes_opt, options)

    @property
    def patch(self) -> int:
        """How many numbers one output is computed from."""
        return prod(self.weight.shape[1:])

    def kernels(self, columns: Tensor) -> Tensor:
        """Return ``columns`` ``[patch, k]`` as a weight ``[k, in, *kernel]``."""
        return columns.T.reshape(-1, *self.weight.shape[1:]).to(self.weight)

    def forward(self, kernels: Tensor) -> Tensor:
        """Return what the layer gives with other ``kernels`` and no bias."""
        return torch.convolution(self.inputs, kernels, None, *self.options)

    def backward(self, gradient: Tensor, wanted: list[bool], kernels: Tensor | None = None) -> tuple[Tensor, ...]:
        """Return the gradients of input, weight and bias, as far as ``wanted``."""
        weight, bias = (self.weight, self.bias) if kernels is None else (kernels, None)
        return torch.ops.aten.convolution_backward(gradient, self.inputs, weight, bias, *self.options, wanted)
