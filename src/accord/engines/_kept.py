"""Gradients by task just as autograd returned them, never copied into a Jacobian."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from accord.engines._engine import Derivatives
from accord.engines._pages import rows_apart
from accord.engines._products import COLUMNS, in_range, products

# Tasks up to which one inner product after the other is quicker than laying pieces side by side and multiplying those:
# at two tasks it takes a third of the time, which is 4 % of a step of a perceptron.
PAIRWISE = 4
# Columns of a gradient whose product with another's is summed in its own precision, before it is added up in float64.
PIECE = 2**16


class Kept(Derivatives):
    """Derivatives for inner products and weighted sums, formed from some thousand columns at a time.

    Writing T·P numbers a second time, into memory that the kernel first has to fill with zeros, costs up to 4 % of a
    step of few tasks.

    Memory: T·P numbers, where autograd put them. That is for Jacobians of some 64 MiB: many gradients that stay among
    what every backward allocates and frees tear holes into the heap, twice the Jacobian's size was seen at T = 40.

    Args:
        gradients: by parameter its gradients by task, flat; ``None`` where a task does not reach it.
        heads: by task, the gradients of ``Problem.own``.
        active: ``[T]`` bool.
        groups: positions of parameters by group.
    """

    def __init__(
        self,
        gradients: Sequence[Sequence[Tensor | None]],
        heads: list[tuple[Tensor | None, ...]],
        active: Tensor,
        groups: Sequence[Sequence[int]] = (),
    ) -> None:
        self._reached = [_Parameter(own) if any(one is not None for one in own) else None for own in gradients]
        self._active, self._groups = active, groups
        self.heads = heads

    def gramian(self) -> Tensor:
        return self._products(self._reached)

    def gramians(self) -> Tensor:
        return torch.stack([self._products([self._reached[i] for i in group]) for group in self._groups])

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        numbers = weights.tolist()
        return [self._combined(i, numbers) for i in range(len(self._reached))]

    def directions(self, weights: Tensor) -> list[Tensor | None]:
        rows = {i: own for own, group in zip(weights.tolist(), self._groups, strict=True) for i in group}
        return [self._combined(i, rows[i]) for i in range(len(self._reached))]

    def _products(self, parameters: Sequence[_Parameter | None]) -> Tensor:
        reached = [parameter for parameter in parameters if parameter is not None]
        if len(self._active) <= PAIRWISE and all(parameter.plain() for parameter in reached):
            sums = [[0.0] * len(self._active) for _ in self._active]
            for parameter in reached:
                parameter.multiply(sums)
            gramian = torch.tensor(sums, dtype=torch.float64)
            if in_range(gramian.diagonal(), self._active):
                return gramian + gramian.tril(-1).T
        return products(_Pieces(reached), self._active)

    def _combined(self, position: int, weights: list[float]) -> Tensor | None:
        one, self._reached[position] = self._reached[position], None  # its memory is there for the next sum
        return None if one is None else one.combined(weights)


class _Parameter:
    """The gradients of one parameter: ``[n]`` each, ``None`` for zeros."""

    def __init__(self, gradients: Sequence[Tensor | None]) -> None:
        self._gradients = gradients
        self._first = next(one for one in gradients if one is not None)

    def plain(self) -> bool:
        """Whether its numbers are multiplied where they are, as they are."""
        return self._first.device.type == "cpu" and self._first.dtype in (torch.float32, torch.float64)

    def multiply(self, sums: list[list[float]]) -> None:
        """Add the inner products of every task's gradient with its own and with those before it to ``sums``."""
        for start in range(0, len(self._first), PIECE):
            part = slice(start, start + PIECE)
            rows = [(t, one[part].contiguous()) for t, one in enumerate(self._gradients) if one is not None]
            for place, (task, row) in enumerate(rows):
                for other, before in rows[: place + 1]:
                    sums[task][other] += float(torch.dot(row, before))

    def pieces(self) -> Iterator[Tensor]:
        """Yield ``[T, m]``, the columns in order, in memory that the next one overwrites."""
        first, width = self._first, len(self._first)
        step = min(width, COLUMNS) if first.device.type == "cpu" else width
        room = rows_apart(len(self._gradients), step, first.dtype, first.device)
        blank = first.new_zeros(step)
        for start in range(0, width, max(1, step)):
            size = min(step, width - start)
            rows = [blank[:size] if one is None else one[start : start + size] for one in self._gradients]
            yield torch.stack(rows, out=room[:, :size])

    def combined(self, weights: list[float]) -> Tensor:
        """Return the sum of the gradients under ``weights``, without those of weight 0."""
        used = [(one, w) for one, w in zip(self._gradients, weights, strict=True) if one is not None and w]
        dtype = torch.float32 if self._first.dtype in (torch.float16, torch.bfloat16) else self._first.dtype
        if not used:
            return torch.zeros_like(self._first, dtype=dtype)
        (one, weight), *more = used
        total = one.to(dtype) * weight
        for one, weight in more:
            total.add_(one, alpha=weight)
        return total


class _Pieces(Iterable[Tensor]):
    def __init__(self, parameters: Sequence[_Parameter]) -> None:
        self._parameters = parameters

    def __iter__(self) -> Iterator[Tensor]:
        for parameter in self._parameters:
            yield from parameter.pieces()
