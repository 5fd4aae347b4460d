"""Exported solutions: in the front's own directory, under names that are made here and never taken from a request."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Literal, Protocol

from accord.errors import RunError

Format = Literal["safetensors", "onnx"]
FOLDER = "exports"
# Names stay readable and short, whatever the tasks are called and however many there are.
_LONGEST = 60


class Exporter(Protocol):
    """What writes one solution: a front that was opened."""

    def export(self, preference: Sequence[float], path: Path, format: Format) -> object:
        """Write the solution for ``preference`` to ``path``: a directory, or for ONNX a file."""
        ...


@dataclass
class Exports:
    """What was written since the server started.

    Args:
        directory: of the front.
    """

    directory: Path
    written: dict[str, Path] = field(default_factory=dict)
    known: dict[tuple[tuple[float, ...], Format], str] = field(default_factory=dict)

    def write(self, front: Exporter, tasks: Sequence[str], preference: tuple[float, ...], kind: Format) -> str:
        """Export the solution for ``preference`` and return its name, the same for the same solution.

        Raises:
            RunError: it cannot be written; nothing half-written stays.
        """
        key = (preference, kind)
        if (name := self.known.get(key)) and self.written[name].exists():
            return name
        place = self._free(stem(tasks, preference), ".onnx" if kind == "onnx" else "")
        try:
            front.export(preference, place, format=kind)
        except OSError as error:
            _remove(place)
            raise RunError(f"could not write {place}: {error.strerror or error}. Free some space.") from error
        except BaseException:
            _remove(place)
            raise
        self.known[key] = place.name
        self.written[place.name] = place
        return place.name

    def download(self, name: str) -> tuple[IO[bytes], str, int]:
        """Return an export as an open file, the name to save it as, and its size in bytes; directories are zipped.

        Raises:
            RunError: nothing of that name was exported since the server started.
        """
        place = self.written.get(name)
        if place is None or not place.exists():
            raise RunError(f"nothing called {name!r} was exported here")
        if place.is_file():
            return place.open("rb"), name, place.stat().st_size
        packed = tempfile.TemporaryFile()  # noqa: SIM115 - who sends it closes it
        _pack(place, packed)
        size = packed.tell()
        packed.seek(0)
        return packed, f"{name}.zip", size

    def size(self, name: str) -> int:
        """Return the bytes that an export takes."""
        place = self.written[name]
        files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files)

    def _free(self, name: str, ending: str) -> Path:
        folder = self.directory / FOLDER
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise RunError(f"could not make {folder}: {error.strerror or error}") from error
        count = 1
        while (place := folder / f"{name}{f'-{count}' if count > 1 else ''}{ending}").exists():
            count += 1
        return place


def stem(tasks: Sequence[str], preference: Sequence[float]) -> str:
    """Return a file name that says what is preferred: ``income-30-marital_stat-70``.

    Only ASCII letters, digits, ``_`` and ``-`` are in it, so it is safe on every file system and in every header.
    """
    named = enumerate(zip(tasks, preference, strict=True))
    whole = "-".join(f"{_plain(name) or f'task{i}'}-{share * 100:.0f}" for i, (name, share) in named)
    if len(whole) <= _LONGEST:
        return whole
    return f"solution-{'-'.join(f'{share * 100:.0f}' for share in preference)}"[:_LONGEST]


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")


def _pack(folder: Path, out: IO[bytes]) -> None:
    # Weights do not compress, and what is stored plainly is packed at the speed of the disk.
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink():
                archive.write(path, f"{folder.name}/{path.relative_to(folder).as_posix()}")


def _remove(place: Path) -> None:
    with suppress(OSError):
        shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
