"""A base with an adapter in it, worked out while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from accord.errors import DataError
from accord.merging.adapters.factors import Factors
from accord.merging.adapters.open_adapter import Adapter
from accord.merging.lazy import LazyTensor, as_tensor


class AdaptedTensor(LazyTensor):
    """``W + scale * left @ right``, row by row; under DoRA every row has the length its magnitude says.

    Nothing is rounded to the base's type before it is merged. Cost: ``2 r`` operations per element and read.

    Args:
        base: ``W``, with rows of ``width`` elements.
        factors: as they fit it.
    """

    def __init__(self, base: Tensor, factors: Factors) -> None:
        super().__init__(tuple(base.shape), base.dtype)
        self.base = base.detach().reshape(-1)
        self.left, self.right = factors.flat()
        self.scale = factors.scale
        self.magnitude = factors.magnitude

    def rows(self, first: int, last: int) -> Tensor:
        own = self.base[first * self.width : last * self.width].to(self.compute).view(last - first, self.width)
        left, right = self.left[first:last].to(self.compute), self.right.to(self.compute)
        changed = torch.addmm(own, left, right, alpha=self.scale)
        if self.magnitude is None:
            return changed
        lengths = torch.linalg.vector_norm(changed, dim=1, keepdim=True)
        return changed * (self.magnitude[first:last].to(self.compute).view(-1, 1) / lengths)


class AdaptedCheckpoint(Mapping[str, Tensor]):
    """The tensors of a base, with an adapter's changes in them and the tensors that it replaces.

    Args:
        base: the base's tensors.
        adapter: what is applied.

    Raises:
        DataError: a module that the base lacks, or of another shape.
    """

    def __init__(self, base: Mapping[str, Tensor], adapter: Adapter) -> None:
        self.label = f"{getattr(base, 'label', 'base')}+{adapter.label}"
        self._base = base
        self._changed: dict[str, Factors] = {}
        for module, factors in adapter.modules.items():
            name = target(f"{module}.weight", base, adapter.label)
            fitting = factors.on(base[name].shape, adapter.label)
            if fitting.magnitude is not None and (
                fitting.transposed or fitting.magnitude.numel() != base[name].shape[0]
            ):
                raise DataError(f"{adapter.label}: DoRA on {module}, whose weight is transposed, is not supported")
            self._changed[name] = fitting
        self._whole = {_near(name, base): tensor for name, tensor in adapter.whole.items()}

    def __getitem__(self, name: str) -> Tensor:
        if name in self._whole:
            return self._whole[name]
        if name in self._changed:
            return as_tensor(AdaptedTensor(self._base[name], self._changed[name]))
        return self._base[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._base
        yield from (name for name in self._whole if name not in self._base)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._base or name in self._whole


def adapt(base: Mapping[str, Tensor], adapter: Adapter) -> AdaptedCheckpoint:
    """Return ``base`` with ``adapter`` applied; its tensors are worked out block by block while they are read.

    Raises:
        DataError: the adapter belongs to another base.
    """
    return AdaptedCheckpoint(base, adapter)


def target(name: str, base: Mapping[str, Tensor], label: str) -> str:
    """Return the base's tensor that an adapter means; one of the two may have further names in front.

    Raises:
        DataError: there is none, or several.
    """
    if name in base:
        return name
    near = [own for own in base if own.endswith(f".{name}") or name.endswith(f".{own}")]
    if len(near) != 1:
        count = "no tensor" if not near else "several tensors"
        raise DataError(f"{label} changes {name}, and the base has {count} of that name: it belongs to another base")
    return near[0]


def _near(name: str, base: Mapping[str, Tensor]) -> str:
    near = [own for own in base if own.endswith(f".{name}") or name.endswith(f".{own}")]
    return near[0] if name not in base and len(near) == 1 else name
