"""Gradients by task where some parameters are held as layers instead of rows."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from accord.engines._engine import Derivatives, columns
from accord.engines._layers import Layer, single
from accord.engines._rows import combine, empty_rows

Block = Tensor | Layer | None


class LayeredRows(Derivatives):
    """Derivatives whose Gramian is known and that need no second pass to descend.

    Args:
        parameters: the shared ones.
        blocks: by parameter its gradients ``[T, n]`` or the layer that has them.
        heads: by task, the gradients of ``Problem.own``.
        gramians: ``[G, T, T]``, one per group, or one for all where there are no groups.
        groups: positions of parameters by group.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        blocks: list[Block],
        heads: list[tuple[Tensor | None, ...]],
        gramians: Tensor,
        groups: Sequence[Sequence[int]] = (),
    ) -> None:
        self._parameters, self._blocks, self._gramians, self._groups = parameters, blocks, gramians, groups
        self.heads = heads

    def gramian(self) -> Tensor:
        return self._gramians.sum(0)

    def gramians(self) -> Tensor:
        return self._gramians

    def direction(self, weights: Tensor) -> list[Tensor | None]:
        return [_combined(block, weights) for block in self._blocks]

    def directions(self, weights: Tensor) -> list[Tensor | None]:
        rows = {i: own for own, group in zip(weights, self._groups, strict=True) for i in group}
        return [_combined(block, rows[i]) for i, block in enumerate(self._blocks)]

    def jacobian(self) -> Tensor:
        whole = empty_rows(self._gramians.shape[1], self._parameters)
        for block, part in zip(self._blocks, columns(self._parameters), strict=True):
            if block is not None:
                whole[:, part] = block.jacobian() if isinstance(block, Layer) else block
        return single(whole)


def _combined(block: Block, weights: Tensor) -> Tensor | None:
    if isinstance(block, Layer):
        return block.combine(weights)
    return None if block is None else combine(weights, block)
