"""Many fine-tuned models in the space of one vector and a bit per weight and task, on disk."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from accord.errors import ConfigurationError, DataError, RunError, suggest
from accord.merging.align import align
from accord.merging.block import Block
from accord.merging.checkpoint import Checkpoint
from accord.merging.engine import Engine
from accord.merging.entry import Entry, Rules
from accord.merging.in_memory import warn_not_finite
from accord.merging.masked import Masked
from accord.merging.merge_files import Source, plan_merge
from accord.merging.merging_method import MergingMethod
from accord.merging.open_checkpoint import open_checkpoint
from accord.merging.shards import Shard, lay_out
from accord.merging.survey import Survey
from accord.merging.writing import ShardWriter, explained, write_whole

STORE = "accord-store.json"
UNIFIED = "unified.safetensors"
WHOLE = 1 << 62  # bytes a file of a store may have


@dataclass(frozen=True)
class TaskStore:
    """The models of several tasks, compressed; see :func:`compress`.

    Attributes:
        folder: where it lies.
        method: what made it, with its options.
        tasks: the names of the tasks, in order.
        scales: the factor of each task.
    """

    folder: Path
    method: str
    tasks: tuple[str, ...]
    scales: tuple[float, ...]

    def restore(self, task: str, base: Source) -> dict[str, Tensor]:
        """Return the tensors of one task's model.

        Args:
            task: its name.
            base: the base that the store was made with.
        """
        opened = open_checkpoint(base) if isinstance(base, str | Path) else base
        return self._restoring(task)(opened, [open_checkpoint(self.folder / UNIFIED)], rules=Rules(missing="base"))

    def restore_to(self, task: str, base: Source, out: str | Path) -> Path:
        """Write one task's model to a new folder, block by block; return the folder."""
        models = [self.folder / UNIFIED]
        return plan_merge(self._restoring(task), base, models, out, rules=Rules(missing="base")).run()

    def bytes(self) -> int:
        """Return the size of the store, which the base is not part of."""
        return sum(path.stat().st_size for path in self.folder.iterdir())

    def _restoring(self, task: str) -> MergingMethod:
        if task not in self.tasks:
            raise ConfigurationError(f"{self.folder} has no task {task!r}. {suggest(task, self.tasks)}")
        place = self.tasks.index(task)
        return _Restoring(str(self.folder), place, self.scales[place])


def open_store(folder: str | Path) -> TaskStore:
    """Open a store that :func:`compress` made.

    Raises:
        DataError: there is none, or it is damaged or not whole.
    """
    folder = Path(folder)
    try:
        record = json.loads((folder / STORE).read_text("utf-8"))
        tasks, scales = tuple(record["tasks"]), tuple(float(scale) for scale in record["scales"])
        store = TaskStore(folder, str(record["method"]), tasks, scales)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder} is no store of tasks, or was not finished ({error!r}): compress again") from error
    for name in (UNIFIED, *(_file(place) for place in range(len(tasks)))):
        if not (folder / name).exists():
            raise DataError(f"{folder} lacks {name}: compress again")
    return store


def compress(
    method: Masked, base: Source, models: Mapping[str, Source], out: str | Path, *, dtype: torch.dtype | None = None
) -> TaskStore:
    """Store what many models need besides their base: one vector, and a mask of one bit per weight for each.

    The vector is read and written block by block; only work buffers are held.

    Args:
        method: says what the vector and the masks are; its ``task`` plays no part.
        base: path or tensors of the base.
        models: paths or tensors of the models, by the names of their tasks.
        out: a new or empty folder.
        dtype: of the vector; ``None`` is bfloat16 for half-precision checkpoints and float32 for others. float16 would
            lose task vectors below 6e-8.

    Raises:
        RunError: the folder holds something, or cannot be written.
        DataError: the checkpoints do not fit each other.
    """
    out = Path(out)
    if not models:
        raise ConfigurationError("there is no model to compress; give a mapping from tasks to models")
    entries = _entries(method, base, list(models.values()), dtype)
    with explained(out):
        out.mkdir(parents=True, exist_ok=True)
    if any(not item.name.endswith(".part") for item in out.iterdir()):
        raise RunError(f"{out} is not empty; remove it or choose another folder")
    engine = Engine(os.cpu_count() or 1, warn_not_finite)
    spans = engine.survey(entries)
    found = spans.get(repr(method))
    with ExitStack() as stack:
        masks = [
            stack.enter_context(ShardWriter(out, _mask_shard(entries, place), lambda _: None))
            for place in range(len(models))
        ]
        writing = _Writing(method, masks)
        mine = [replace(entry, method=writing) for entry in entries]
        shard = replace(lay_out(mine, WHOLE)[0], file=UNIFIED)
        sink = stack.enter_context(ShardWriter(out, shard, lambda _: None))
        engine.merge(shard.entries, sink, {repr(writing): found})
    record = {"method": repr(method), "tasks": list(models), "scales": method.scales(len(models), found)}
    write_whole(out / STORE, (json.dumps(record, indent=1) + "\n").encode())
    return open_store(out)


@torch.no_grad()
def _entries(method: Masked, base: Source, models: Sequence[Source], dtype: torch.dtype | None) -> list[Entry]:
    opened = [open_checkpoint(source) if isinstance(source, str | Path) else source for source in (base, *models)]
    entries = align(method, opened[0], opened[1:], Rules())
    merged = [entry for entry in entries if entry.copy is None and entry.tied is None]
    return [replace(entry, dtype=dtype or _stored(entry.dtype)) for entry in merged]


def _stored(dtype: torch.dtype) -> torch.dtype:
    return torch.bfloat16 if dtype.itemsize == 2 else torch.float32


def _file(place: int) -> str:
    return f"mask-{place:03d}.safetensors"


def _packed(entry: Entry) -> Entry:
    """Return the entry of a tensor's mask, eight to a byte."""
    size = -(-entry.elements // 8)
    bits = torch.empty(size, dtype=torch.uint8, device="meta")
    return replace(entry, shape=(size,), dtype=torch.uint8, arithmetic=torch.uint8, base=None, models=(bits,))


def _mask_shard(entries: Sequence[Entry], place: int) -> Shard:
    return replace(lay_out([_packed(entry) for entry in entries], WHOLE)[0], file=_file(place))


class _Writing(MergingMethod):
    """The shared vector as the result, the masks written beside it."""

    def __init__(self, masked: Masked, masks: Sequence[ShardWriter]) -> None:
        self.masked = masked
        self.masks = masks
        self.packed = {entry.name: entry for entry in masks[0].shard.entries}
        self.scope = masked.scope

    def survey(self, models: int, elements: int, based: bool) -> Survey | None:
        return self.masked.survey(models, elements, based)

    def combine(self, block: Block, found: Any) -> Tensor:
        unified = self.masked.unify(block, found)
        for index, writer in enumerate(self.masks):
            bits = np.packbits(self.masked.mask(block, index, unified).numpy(), bitorder="little")
            writer.put(self.packed[block.name], block.start // 8, torch.from_numpy(bits))
        return unified


class _Restoring(MergingMethod):
    """One task's model from the base and, as the only model, the shared vector."""

    most = 1

    def __init__(self, folder: str, place: int, scale: float) -> None:
        self.folder = folder
        self.place = place
        self.scale = scale
        self._masks: Checkpoint = open_checkpoint(Path(folder) / _file(place))

    def survey(self, models: int, elements: int, based: bool) -> None:
        return None

    def combine(self, block: Block, found: Any) -> Tensor:
        start = block.start // 8
        packed = self._masks[block.name][start : start + -(-block.length // 8)].numpy()
        bits = torch.from_numpy(np.unpackbits(packed, count=block.length, bitorder="little")).to(torch.bool)
        return block.model(0).masked_fill_(~bits, 0.0).mul_(self.scale).add_(block.base())
