"""Open a checkpoint: a file, an index of shards, or a folder as Hugging Face lays it out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from accord.errors import DataError
from accord.merging.checkpoint import Checkpoint, TensorFile
from accord.merging.tensor_files import PYTORCH, open_file

# What a folder may hold, best first: mapped safetensors before PyTorch files.
INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
SINGLES = ("model.safetensors", "pytorch_model.bin")
ONE_OF_SEVERAL = re.compile(r"-\d+-of-0*([2-9]|[1-9]\d+)$")


def open_checkpoint(path: str | Path) -> Checkpoint:
    """Open a checkpoint for lazy reading; nothing in it is executed.

    Args:
        path: a ``.safetensors`` or PyTorch file; an index (``*.index.json``); or a folder with either, or with one lone
            checkpoint file.

    Raises:
        DataError: there is no checkpoint, a file is damaged, unreadable or holds code, or the index does not fit its
            shards.
    """
    path = expanded(path)
    try:
        return _open(path)
    except OSError as error:
        raise DataError(f"could not read {path}: {error.strerror or error}") from error


def expanded(path: str | Path) -> Path:
    """Return a path with ``~`` and ``~user`` as their homes; of somebody without one, as it is."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # then it is a file of that name, or nothing
        return Path(path)


def _open(path: Path) -> Checkpoint:
    if path.is_dir():
        return _open_folder(path)
    if path.name.endswith(".index.json"):
        return _open_index(path, str(path))
    if not path.exists():
        raise DataError(f"there is no checkpoint {path}: give a local file or folder (nothing is downloaded)")
    return _gather([open_file(path)], str(path), None)


def _open_folder(folder: Path) -> Checkpoint:
    for name in INDEXES[:1] + SINGLES[:1] + INDEXES[1:] + SINGLES[1:]:
        if (folder / name).exists():
            if name in INDEXES:
                return _open_index(folder / name, str(folder))
            return _gather([open_file(folder / name)], str(folder), folder)
    lone = sorted(item for item in folder.iterdir() if item.suffix in (".safetensors", *PYTORCH))
    if len(lone) != 1:
        raise DataError(
            f"{folder} holds {len(lone)} checkpoint files and no index; expected {', '.join(INDEXES[:1] + SINGLES)} or "
            "one file"
        )
    if ONE_OF_SEVERAL.search(lone[0].stem):
        raise DataError(
            f"{folder} holds {lone[0].name}, which is one of several shards, and no index: finish the download or the "
            "merge that was to fill it"
        )
    return _gather([open_file(lone[0])], str(folder), folder)


def _open_index(path: Path, label: str) -> Checkpoint:
    weight_map = read_index(path)
    files = {name: open_file(path.parent / name) for name in dict.fromkeys(weight_map.values())}
    where = {name: files[shard] for name, shard in weight_map.items()}
    held = {shard: set(file.names()) for shard, file in files.items()}
    for name, shard in weight_map.items():
        if name not in held[shard]:
            raise DataError(f"{path} says that {name} is in {shard}, which does not hold it: the index is wrong")
    for shard, names in held.items():
        if more := sorted(name for name in names if weight_map.get(name) != shard):
            raise DataError(f"{path} does not list {more[0]} of {shard}: the index is wrong or of another checkpoint")
    return Checkpoint(label, path.parent, tuple(files.values()), where)


def read_index(path: Path) -> dict[str, str]:
    """Return ``{tensor: shard}`` of an index; every shard is a plain file name of the same folder.

    Raises:
        DataError: it is damaged, empty, or names a file elsewhere.
    """
    try:
        content: Any = json.loads(path.read_text("utf-8"))
        weight_map = content["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no index of shards ({error!r})") from error
    if not isinstance(weight_map, Mapping) or not weight_map:
        raise DataError(f"{path} lists no tensors")
    for name, shard in weight_map.items():
        if not isinstance(shard, str) or Path(shard).name != shard or shard in ("", ".", "..") or "\\" in shard:
            raise DataError(f"{path} places {name} in {shard!r}; shards are files of the index's own folder")
    return dict(weight_map)


def _gather(files: list[TensorFile], label: str, folder: Path | None) -> Checkpoint:
    return Checkpoint(label, folder, tuple(files), {name: file for file in files for name in file.names()})
