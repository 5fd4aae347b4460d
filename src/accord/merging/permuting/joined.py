"""Groups of units that turn out to be one, or to have a fixed order, while a network is walked through."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from accord.merging.permuting.groups import Axis, Groups


class Joined:
    """Notes which group lies along which axis, and joins groups that meet.

    Args:
        tensors: parameters and buffers by name; a tensor may have several names.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors
        self._first: dict[int, str] = {}
        for name, tensor in tensors.items():
            self._first.setdefault(id(tensor), name)
        self._parents: dict[str, str] = {}
        self._sizes: dict[str, int] = {}
        self._fixed: set[str] = set()
        self._axes: dict[str, list[Axis]] = {}
        self._held: set[tuple[str, int]] = set()

    def new(self, name: str, size: int) -> str:
        """Return the group of a layer's own units, the same one each time the layer is used."""
        self._parents.setdefault(name, name)
        self._sizes[name] = size
        return name

    def root(self, group: str) -> str:
        """Return what a group and all that it was joined with are called: the one that was made first."""
        while self._parents[group] != group:
            group = self._parents[group]
        return group

    def size(self, group: str) -> int:
        """Return the units of a group."""
        return self._sizes[group]

    def holds(self, name: str) -> bool:
        """Return whether there is a parameter or buffer of this name."""
        return name in self._tensors

    def join(self, one: str, other: str) -> None:
        """Note that two groups stand in one order."""
        roots = [self.root(one), self.root(other)]
        if self._sizes[one] != self._sizes[other]:
            self._fixed.update(roots)
        elif roots[0] != roots[1]:
            made = list(self._parents)
            first, later = sorted(roots, key=made.index)
            self._parents[later] = first
            if later in self._fixed:
                self._fixed.add(first)

    def fix(self, group: str) -> None:
        """Note that the order of a group is not free."""
        self._fixed.add(self.root(group))

    def lay(self, name: str, axis: int, group: str) -> None:
        """Note that a group lies along an axis of a tensor."""
        name = self._first[id(self._tensors[name])]
        axes = self._axes.setdefault(name, [None] * self._tensors[name].ndim)
        if (known := axes[axis]) is None:
            axes[axis] = group
        else:
            self.join(known, group)
        if (name, axis) in self._held:
            self.fix(group)

    def hold(self, name: str, axis: int) -> None:
        """Note that the order along an axis of a tensor is fixed, under whatever name the tensor is used again."""
        name = self._first[id(self._tensors[name])]
        self._held.add((name, axis))
        if (known := self._axes.get(name, {axis: None})[axis]) is not None:
            self.fix(known)

    def groups(self) -> Groups:
        """Return those whose order is free, under all names of the tensors they lie in."""
        free = {group for group in self._parents if self.root(group) == group and group not in self._fixed}
        found: dict[str, tuple[Axis, ...]] = {}
        for name, tensor in self._tensors.items():
            own = self._axes.get(self._first[id(tensor)], [])
            axes = tuple(self.root(group) if group and self.root(group) in free else None for group in own)
            if any(axes):
                found[name] = axes
        return Groups(found, {group: self._sizes[group] for group in self._parents if group in free})
