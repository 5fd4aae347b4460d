"""Files that appear whole or not at all, filled from several threads at places known beforehand."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from xxhash import xxh3_128

from accord.errors import RunError
from accord.merging.entry import Entry
from accord.merging.shards import Shard

# From how many bytes on the disk is told to begin; many small requests would cost more than they save.
SOON = 1 << 18
WRITE = 2  # Linux's SYNC_FILE_RANGE_WRITE: begin, and wait for nothing


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into a :class:`RunError` that names ``path`` and says how to go on."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"could not write {path}: {error.strerror or error}. Free some space or see to the permissions, then run "
            "the same again."
        ) from error


class ShardWriter:
    """A shard being written, under a hidden name until it is whole; a sink of the engine.

    Args:
        folder: of the result.
        shard: what is written.
        progress: told how many bytes were written, from any thread, also two at once.
    """

    def __init__(self, folder: Path, shard: Shard, progress: Callable[[int], None]) -> None:
        self.shard = shard
        self.target = folder / shard.file
        self.part = folder / f".{shard.file}.part"
        self.progress = progress
        self._checksums = {entry.name: xxh3_128() for entry in shard.entries}

    def __enter__(self) -> ShardWriter:
        with explained(self.target):
            self._file = os.open(self.part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
            try:
                _reserve(self._file, self.shard.size)  # a disk too small is found out before the work
                self._write(memoryview(self.shard.header), 0)
            except OSError:
                self._drop()
                raise
        return self

    def put(self, entry: Entry, start: int, values: Tensor) -> None:
        """Store ``values`` at ``start`` of the flattened tensor."""
        content = raw(values)
        self._checksums[entry.name].update(content)
        with explained(self.target):
            place = self.shard.offsets[entry.name] + start * entry.dtype.itemsize
            self._write(content, place)
            _hurry(self._file, place, len(content))
        self.progress(len(content))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._drop()
            return
        with explained(self.target):
            try:
                os.fsync(self._file)
            except OSError:
                self._drop()
                raise
            os.close(self._file)
            self.part.replace(self.target)
            sync_folder(self.target.parent)

    def checksums(self) -> dict[str, str]:
        """Return the XXH3-128 checksum of each tensor's bytes."""
        return {name: found.hexdigest() for name, found in self._checksums.items()}

    def _write(self, content: memoryview, place: int) -> None:
        while content:
            done = os.pwrite(self._file, content, place)
            content, place = content[done:], place + done

    def _drop(self) -> None:
        os.close(self._file)
        self.part.unlink(missing_ok=True)


def raw(values: Tensor) -> memoryview:
    """Return the bytes of a flat tensor ``[length]``, uncopied."""
    return values.contiguous().view(torch.uint8).numpy().data


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file atomically."""
    part = path.with_name(f".{path.name}.part")
    with explained(path):
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
            sync_folder(path.parent)
        finally:
            part.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` last, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _hurry(file: int, place: int, size: int) -> None:
    """Let the disk begin with what ``fsync`` would otherwise give it at the end, when nothing else is left to do."""
    if size >= SOON and (start := _start_writing()) is not None:
        start(file, place, size, WRITE)  # a failure is for fsync to tell


@cache
def _start_writing() -> Callable[[int, int, int, int], int] | None:
    """Return Linux's ``sync_file_range``, or ``None`` on other systems."""
    found = getattr(ctypes.CDLL(None), "sync_file_range", None) if os.name == "posix" else None
    if found is not None:
        found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return found


def _reserve(file: int, size: int) -> None:
    try:
        os.posix_fallocate(file, 0, size)
    except AttributeError:
        os.ftruncate(file, size)  # systems without it
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
            raise
        os.ftruncate(file, size)
