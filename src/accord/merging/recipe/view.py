"""A model's tensors under the names they get in the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from torch import Tensor

Reader = Callable[[], Tensor]


class View(Mapping[str, Tensor]):
    """Tensors of one model for one part of the result, opened when they are asked for.

    Args:
        label: how messages call the model.
        tensors: of the model.
        names: the model's name of each tensor by its name in the result.
        instead: tensors to put in place of some, by their name in the result.
    """

    def __init__(
        self, label: str, tensors: Mapping[str, Tensor], names: Mapping[str, str], instead: Mapping[str, Reader]
    ) -> None:
        self.label = label
        self.names = names
        self._tensors = tensors
        self._instead = instead

    def __getitem__(self, name: str) -> Tensor:
        if name in self._instead:
            return self._instead[name]()
        return self._tensors[self.names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    def __contains__(self, name: object) -> bool:
        return name in self.names
