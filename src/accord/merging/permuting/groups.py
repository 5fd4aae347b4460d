"""Which axes of which tensors are permuted together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from accord.errors import ConfigurationError

Axis = str | None
Axes = Mapping[str, Sequence[Axis]]
Order = dict[str, Tensor]


@dataclass(frozen=True)
class Groups:
    """Groups of units whose order is free, and the axes along which each group lies.

    Reordering the units of a group along all its axes leaves what the network computes as it is: the rows of the layer
    that makes them, its bias, the norm after it, and the columns of the layer that takes them in.

    Attributes:
        axes: of each tensor, the group that lies along each axis, ``None`` where the order is fixed. Tensors that are
            not named stay as they are.
        sizes: number of units of each group. An axis may be a multiple of it: after flattening, one unit of a
            convolution is a run of neighbouring columns.
    """

    axes: Axes
    sizes: Mapping[str, int]

    def permute(self, state: Mapping[str, Tensor], order: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a state in which unit ``u`` of a group is what unit ``order[group][u]`` was."""
        return {name: self.moved(name, tensor, order) for name, tensor in state.items()}

    def moved(self, name: str, tensor: Tensor, order: Mapping[str, Tensor], but: int = -1) -> Tensor:
        """Return one tensor in this order, along all its axes but one."""
        for axis, group in enumerate(self.axes.get(name, ())):
            if group is not None and axis != but and group in order:
                tensor = self._take(tensor, axis, order[group])
        return tensor

    def rows(self, tensor: Tensor, axis: int, group: str) -> Tensor:
        """Return ``[units, rest]`` in float64: all that belongs to each unit along an axis."""
        return tensor.detach().double().movedim(axis, 0).reshape(self.sizes[group], -1)

    def places(self, group: str) -> list[tuple[str, int]]:
        """Return the tensors and axes along which a group lies."""
        return [(name, axis) for name, axes in self.axes.items() for axis, own in enumerate(axes) if own == group]

    def check(self, state: Mapping[str, Tensor]) -> None:
        """Raise a :class:`ConfigurationError` if these groups do not fit a state."""
        for name, axes in self.axes.items():
            if name not in state:
                raise ConfigurationError(f"groups of units name {name}, which this state lacks")
            shape = state[name].shape
            for axis, group in enumerate(axes):
                if group is not None and (axis >= len(shape) or not shape[axis] or shape[axis] % self.sizes[group]):
                    raise ConfigurationError(
                        f"axis {axis} of {name} {list(shape)} cannot hold the {self.sizes[group]} units of {group!r}"
                    )

    def _take(self, tensor: Tensor, axis: int, order: Tensor) -> Tensor:
        run = tensor.shape[axis] // len(order)
        if run != 1:
            order = (order[:, None] * run + torch.arange(run, device=order.device)).reshape(-1)
        return tensor.index_select(axis, order.to(tensor.device))
