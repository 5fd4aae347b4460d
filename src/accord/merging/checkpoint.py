"""What a checkpoint on disk is: names and lazily read tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor


class TensorFile(Protocol):
    """One open file of named tensors, each a view of the mapped file: nothing is read before it is computed with."""

    path: Path

    def names(self) -> list[str]:
        """Return the names, in the order of the file."""
        ...

    def tensor(self, name: str) -> Tensor:
        """Return a tensor that lies in the mapped file."""
        ...


@dataclass(frozen=True, eq=False)
class Checkpoint(Mapping[str, Tensor]):
    """The tensors of one or several files, by name.

    Attributes:
        label: how messages call it: the path it was opened by.
        folder: where its configuration and tokenizer lie, or ``None`` for a lone file.
        files: the open files.
        where: the file of each tensor.
    """

    label: str
    folder: Path | None
    files: tuple[TensorFile, ...]
    where: Mapping[str, TensorFile]

    def __getitem__(self, name: str) -> Tensor:
        return self.where[name].tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.where)

    def __len__(self) -> int:
        return len(self.where)

    def __contains__(self, name: object) -> bool:
        return name in self.where
