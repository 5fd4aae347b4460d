"""Layers whose samples belong to different tasks: the Gramian and the update of their weights."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from accord.engines._costs import Way
from accord.engines._pages import rows_apart
from accord.engines._products import products, wide
from accord.engines._rows import combine
from accord.engines._samples import Rows

_BLOCK = 128  # rows whose products with all later ones are formed at a time


class Layer(ABC):
    """A weight that one operation used, held as what the operation read and the gradient of what it gave."""

    @abstractmethod
    def gramian(self) -> Tensor:
        """Return the Gramian ``[T, T]`` of the weight's gradients by task, float64."""

    @abstractmethod
    def combine(self, weights: Tensor) -> Tensor:
        """Return the weighted sum over tasks of the weight's gradients ``[n]``; tasks of weight 0 are left out."""

    @abstractmethod
    def jacobian(self) -> Tensor:
        """Return the weight's gradient by task ``[T, n]``."""

    @abstractmethod
    def held(self) -> int:
        """Return how many bytes are kept for the update beside what autograd saved."""


class Product(Layer):
    """A weight whose gradient is a product of what was read and the gradient of what was given, over R rows.

    Args:
        tasks: those of the R rows.
        way: how the Gramian is found; ``"keep"`` keeps one gradient per task for the update.
    """

    def __init__(self, tasks: Rows, way: Way) -> None:
        self.tasks, self.way = tasks, way
        self._kept: Tensor | None = None

    @abstractmethod
    def rows(self) -> Tensor:
        """Return the weight's gradient by task ``[T, n]``, its entries in any order."""

    @abstractmethod
    def arranged(self, rows: Tensor) -> Tensor:
        """Return ``rows [k, n]`` with their entries in the order of the parameter."""

    @abstractmethod
    def descend(self, scale: Tensor) -> Tensor:
        """Return the weight's gradient ``[n]`` with row r of what was given multiplied by ``scale [R]``."""

    @abstractmethod
    def sides(self) -> tuple[Tensor, Tensor]:
        """Return ``X [R, in]`` and ``D [R, out]`` whose product is the weight's gradient, entries in any order."""

    @torch.no_grad()
    def gramian(self) -> Tensor:
        present = self.tasks.present()
        if self.way == "samples":
            found = self._between_samples()
            squares = found.diagonal()
            if bool((((squares > 1e-20) & squares.isfinite()) | ~present.to(found.device)).all()):
                return found
        rows = self.rows()
        if self.way == "keep":
            self._kept = rows
        return products([rows], present)  # rescales where squares leave float32

    @torch.no_grad()
    def combine(self, weights: Tensor) -> Tensor:
        if self._kept is None:
            return self.descend(self.tasks.spread(weights))
        return self.arranged(combine(weights, self._kept)[None])[0]

    @torch.no_grad()
    def jacobian(self) -> Tensor:
        return self.arranged(self.rows() if self._kept is None else self._kept)

    def held(self) -> int:
        return 0 if self._kept is None else self._kept.numel() * self._kept.element_size()

    def _between_samples(self) -> Tensor:
        """Return the Gramian from ``<x, x'> <d, d'>`` over pairs of rows, each pair once."""
        inputs, gradient = (single(side) for side in self.sides())
        count = len(inputs)
        near = inputs.new_zeros(count, count)
        for start in range(0, count, _BLOCK):
            block = slice(start, start + _BLOCK)
            later = inputs[block] @ inputs[start:].T
            near[block, start:] = later.mul_(gradient[block] @ gradient[start:].T)
            near[block, block] *= 0.5  # met from both sides below
        half = self.tasks.total(self.tasks.total(near).T.contiguous()).to(wide(near.device), torch.float64)
        return half + half.T


class Linear(Product):
    """The weight of a linear layer.

    Args:
        inputs: ``X [R, in]``.
        gradient: ``D [R, out]``.
        rows: the tasks of the R rows.
        way: how the Gramian is found.
        upright: whether the weight is stored ``[out, in]`` rather than ``[in, out]``.
    """

    def __init__(self, inputs: Tensor, gradient: Tensor, rows: Rows, way: Way, upright: bool) -> None:
        super().__init__(rows, way)
        self.inputs, self.gradient = inputs, gradient
        self.upright = upright

    def rows(self) -> Tensor:
        left, right = (self.gradient, self.inputs) if self.upright else (self.inputs, self.gradient)
        return by_task(left, right, self.tasks).flatten(1)

    def arranged(self, rows: Tensor) -> Tensor:
        return rows

    def descend(self, scale: Tensor) -> Tensor:
        scaled = scaled_rows(self.gradient, scale[:, None])
        return (scaled.T @ self.inputs if self.upright else self.inputs.T @ scaled).reshape(-1)

    def sides(self) -> tuple[Tensor, Tensor]:
        return self.inputs, self.gradient


def by_task(left: Tensor, right: Tensor, tasks: Rows) -> Tensor:
    """Return ``[T, a, b]``, the products ``left.T @ right`` of ``left [R, a]`` and ``right [R, b]`` by task."""
    count, width = len(tasks.sizes), left.shape[1] * right.shape[1]
    found = rows_apart(count, width, left.dtype, left.device).view(count, left.shape[1], right.shape[1])
    if tasks.even:
        return torch.bmm(left.unflatten(0, (-1, tasks.even)).mT, right.unflatten(0, (-1, tasks.even)), out=found)
    if tasks.alike:  # as where the sequence comes before the samples
        return torch.bmm(tasks.abreast(left).permute(1, 2, 0), tasks.abreast(right).transpose(0, 1), out=found)
    for out, a, b in zip(found, tasks.pieces(left), tasks.pieces(right), strict=True):
        torch.mm(a.T, b, out=out)
    return found


def scaled_rows(gradient: Tensor, scale: Tensor) -> Tensor:
    """Return ``gradient * scale``, zero where ``scale`` is, whatever ``gradient`` is there."""
    scaled = gradient * scale.to(gradient)
    return scaled.masked_fill_(scale == 0, 0) if bool((scale == 0).any()) else scaled


def single(values: Tensor) -> Tensor:
    """Return ``values``, at least float32."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
