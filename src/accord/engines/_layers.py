"""Linear layers whose samples belong to different tasks: their weights' gradients without forming them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accord.engines._engine import Derivatives, columns
from accord.engines._products import products, wide
from accord.engines._rows import combine, empty_rows
from accord.engines._samples import Samples


@dataclass(frozen=True, slots=True)
class Layer:
    """What a linear layer read and the gradient of what it gave, with the task of each row.

    Attributes:
        inputs: ``X [R, in]``.
        gradient: ``D [R, out]``.
        task: ``[R]``, T for rows that no task uses.
        samples: the batch.
        upright: whether the weight is stored ``[out, in]`` rather than ``[in, out]``.
    """

    inputs: Tensor
    gradient: Tensor
    task: Tensor
    samples: Samples
    upright: bool

    @torch.no_grad()
    def rows(self) -> Tensor:
        """Return the weight's gradient by task ``[T, in out]``: one product over each task's rows."""
        left, right = (self.gradient, self.inputs) if self.upright else (self.inputs, self.gradient)
        found = left.new_empty(self.samples.tasks, left.shape[1], right.shape[1])
        order = self.task.argsort(stable=True)
        sizes = torch.bincount(self.task, minlength=len(found) + 1).tolist()
        for out, a, b in zip(found, left[order].split(sizes), right[order].split(sizes), strict=False):
            torch.mm(a.T, b, out=out)
        return found.flatten(1)

    @torch.no_grad()
    def combine(self, weights: Tensor) -> Tensor:
        """Return the weighted sum over tasks of the weight's gradients ``[in out]``: one product over all rows."""
        scale = torch.cat([weights, weights.new_zeros(1)]).to(self.gradient)[self.task][:, None]
        scaled = torch.where(scale == 0, 0, self.gradient * scale)
        product = scaled.T @ self.inputs if self.upright else self.inputs.T @ scaled
        return product.reshape(-1)

    @torch.no_grad()
    def gramian(self) -> Tensor:
        """Return the Gramian ``[T, T]`` of the weight's gradients by task, float64, the cheaper of two ways.

        Between samples it takes ``R² (in + out)`` multiplications whatever T is, between tasks ``in out (R + T²/2)``.
        """
        count, (total, inner), outer = self.samples.tasks, self.inputs.shape, self.gradient.shape[1]
        present = torch.bincount(self.task, minlength=count + 1)[:count] > 0
        if total * total * (inner + outer) < inner * outer * (total + count * count // 2):
            found = self._between_samples()
            squares = found.diagonal()
            if bool((((squares > 1e-20) & squares.isfinite()) | ~present.to(found.device)).all()):
                return found
        return products([self.rows()], present)  # rescales where squares leave float32

    def _between_samples(self) -> Tensor:
        inputs, gradient = _single(self.inputs), _single(self.gradient)
        near = (inputs @ inputs.T).mul_(gradient @ gradient.T)
        return self.samples.total(self.samples.total(near, self.task).T, self.task).to(wide(near.device), torch.float64)


class LayeredRows(Derivatives):
    """Gradients by task where some parameters are held as :class:`Layer` instead of rows; no second pass is needed."""

    def __init__(
        self,
        parameters: Sequence[Tensor],
        blocks: list[Tensor | Layer | None],
        heads: list[tuple[Tensor | None, ...]],
        active: Tensor,
        groups: Sequence[Sequence[int]] = (),
    ) -> None:
        self._parameters, self._blocks, self._active, self._groups = parameters, blocks, active, groups
        self.heads = heads

    def gramian(self) -> Tensor:
        return self._gramian(self._blocks)

    def gramians(self) -> Tensor:
        return torch.stack([self._gramian([self._blocks[i] for i in group]) for group in self._groups])

    def _gramian(self, blocks: Sequence[Tensor | Layer | None]) -> Tensor:
        total = products([block for block in blocks if isinstance(block, Tensor)], self._active)
        for block in blocks:
            if isinstance(block, Layer):
                total += block.gramian()
        return total

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        return [_combined(block, weights) for block in self._blocks]

    def directions(self, weights: Tensor) -> list[Tensor | None]:
        rows = {i: own for own, group in zip(weights, self._groups, strict=True) for i in group}
        return [_combined(block, rows[i]) for i, block in enumerate(self._blocks)]

    def jacobian(self) -> Tensor:
        whole = empty_rows(len(self._active), self._parameters)
        for block, part in zip(self._blocks, columns(self._parameters), strict=True):
            if block is not None:
                whole[:, part] = block.rows() if isinstance(block, Layer) else block
        return _single(whole)


def _combined(block: Tensor | Layer | None, weights: Tensor) -> Tensor | None:
    if isinstance(block, Layer):
        return block.combine(weights)
    return None if block is None else combine(weights, block)


def _single(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
