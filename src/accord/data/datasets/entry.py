"""What is known about a data set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class File:
    """One file of a data set.

    Attributes:
        url: where it is downloaded from.
        checksum: ``"sha256:..."`` or ``"md5:..."`` as published or independently confirmed; empty where none is known.
            Then the first download is trusted and recorded, and every later one must equal it.
        size: bytes; 0 where unknown.
        content: checksum of what a gzip file holds; one packed anew, by a Linux distribution for one, is as good.
        prefix: of the file name in the cache, where two sources give their files the same names.
    """

    url: str
    checksum: str = ""
    size: int = 0
    content: str = ""
    prefix: str = ""

    @property
    def name(self) -> str:
        """The file name in the cache."""
        return self.prefix + self.url.rsplit("/", 1)[-1]


@dataclass(frozen=True, slots=True)
class Dataset:
    """One data set of the registry.

    Attributes:
        name: what people type.
        title: its full name.
        description: what a row is, in a sentence or two.
        rows: number of rows, given test rows included.
        columns: number of columns.
        tasks: suggested targets, each with the kind of task.
        licence: terms of use, in words.
        citation: how to cite it.
        homepage: where it is described.
        files: what is downloaded; empty when it ships with Accord.
        read: turns the folder with the files into ``{"train": Arrow dataset, "test": ...}``; ``"test"`` only where the
            source gives a split.
        excluded: columns that are no features, each with the reason.
    """

    name: str
    title: str
    description: str
    rows: int
    columns: int
    tasks: Mapping[str, str]
    licence: str
    citation: str
    homepage: str
    files: tuple[File, ...]
    read: Callable[[Path], dict[str, Any]]
    excluded: Mapping[str, str] = field(default_factory=dict)

    @property
    def bundled(self) -> bool:
        """Whether it ships with Accord, so that nothing is downloaded."""
        return not self.files

    @property
    def size(self) -> int:
        """Bytes to download; 0 where unknown or nothing."""
        return sum(file.size for file in self.files)
