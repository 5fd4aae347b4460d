"""Merge checkpoints on disk into a new folder, never holding more than work buffers."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from accord.errors import AccordError, ConfigurationError, RunError
from accord.merging import manifest
from accord.merging.align import align, label
from accord.merging.beside import THEIRS, write_beside
from accord.merging.companions import check_companions, gather_companions
from accord.merging.engine import Engine
from accord.merging.entry import Entry, Rules
from accord.merging.guarding import Stamps, alone, check_unchanged, stamps
from accord.merging.in_memory import warn_not_finite
from accord.merging.layer_pruning import LayerPruning
from accord.merging.memory import MEGABYTE, threads_within
from accord.merging.merging_method import MergingMethod
from accord.merging.open_checkpoint import expanded, open_checkpoint
from accord.merging.progress import WRITING, Progress, Tally, bytes_read
from accord.merging.shards import INDEX, Shard, index_text, lay_out
from accord.merging.writing import ShardWriter, explained

# Where records have the layers that each model keeps.
KEPT = "kept_layers"
Source = str | Path | Mapping[str, Tensor]
Beside = Callable[[Path, Sequence[Shard]], Mapping[str, bytes]]


@dataclass(frozen=True)
class MergePlan:
    """A merge that has been checked and can be run; nothing has been written yet.

    Attributes:
        title: what is done, in one line.
        out: the folder of the result.
        inputs: what is merged: paths, the base's first.
        shards: the files of the result.
        threads: how many work.
        memory: anonymous memory of the process at its peak, in bytes; an upper bound.
        bytes_in: size of the tensors that are read.
        bytes_out: size of the tensors that are written.
        fingerprint: of the settings and the inputs.
        stamps: of the files that are read.
        beside: returns the small files that belong to the weights, by name, when these are done.
        pruning: drops layers of the models first.
    """

    title: str
    out: Path
    inputs: tuple[str, ...]
    shards: tuple[Shard, ...]
    threads: int
    memory: int
    bytes_in: int
    bytes_out: int
    fingerprint: str
    stamps: Stamps
    beside: Beside
    pruning: LayerPruning | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The tensors of the result."""
        return tuple(entry for shard in self.shards for entry in shard.entries)

    def obstacle(self) -> str | None:
        """Return why :meth:`run` would write nothing into the folder as it is now; see :func:`manifest.obstacle`."""
        return manifest.obstacle(self.out, self.fingerprint)

    def run(self, progress: Progress | None = None) -> Path:
        """Merge; shards that an earlier, killed run of the same merge finished are kept.

        Args:
            progress: told ``(done, whole, phase)``: bytes, and whether they are ``"writing"`` or of a pass before that.

        Returns:
            The folder of the result.

        Raises:
            RunError: the disk is full or read-only, the folder holds something else, or another merge is writing into
                it. What was finished is kept.
            DataError: a file was changed since the plan was made.
        """
        with explained(self.out):
            self.out.mkdir(parents=True, exist_ok=True)
        with alone(self.out):
            self._run(progress)
        return self.out

    def mend(self, progress: Progress | None = None) -> Path:
        """Merge again what a finished merge of this plan has lost since, or what was changed; whole shards are kept.

        Args:
            progress: see :meth:`run`.

        Raises:
            RunError: the folder holds no finished merge, or another one; and as :meth:`run`.
            DataError: a file was changed since the plan was made.
        """
        with alone(self.out):
            record = manifest.read(self.out / manifest.MANIFEST)
            if record is None or record["fingerprint"] != self.fingerprint:
                raise RunError(f"{self.out} does not hold this merge, finished: nothing to mend; remove it and merge")
            # The record stays until it is written anew: a run of this that fails leaves what it found.
            told = record["tensors"]
            done = {each.file: {entry.name: told.get(entry.name, "") for entry in each.entries} for each in self.shards}
            known = {KEPT: record[KEPT]} if KEPT in record else {}
            manifest.write(self.out / manifest.JOURNAL, {"fingerprint": self.fingerprint, "tensors": done, **known})
            self._run(progress)
        return self.out

    def _run(self, progress: Progress | None) -> None:
        check_unchanged(self.stamps)
        begun = self._begin()
        done = begun["tensors"]
        try:
            self._merge(begun, progress)
            self._finish(begun)
        except AccordError as error:
            if not done:  # nothing is lost, and the folder is free for a recipe that has been mended
                (self.out / manifest.JOURNAL).unlink(missing_ok=True)
            elif isinstance(error, RunError):  # it could not write
                kept = f"{len(done)} of {len(self.shards)} files of weights are finished and kept"
                raise RunError(f"{error} {kept}: it goes on from there.") from error
            raise

    def _merge(self, begun: dict[str, Any], progress: Progress | None) -> None:
        """Merge what is not done, and keep the record of what is."""
        engine, done = Engine(self.threads, warn_not_finite), begun["tensors"]
        left = [shard for shard in self.shards if shard.file not in done]
        pruned = self._pruned(begun, engine, progress)
        entries = {entry.name: entry for entry in pruned}
        found = engine.survey(pruned, progress) if left else {}
        tally = Tally(progress)
        tally.begin(WRITING, self.bytes_out, self.bytes_out - sum(shard.bytes for shard in left))
        for shard in left:
            with ShardWriter(self.out, shard, tally.add) as writer:
                engine.merge([entries[entry.name] for entry in shard.entries], writer, found)
                check_unchanged(self.stamps)
            told = done | {shard.file: writer.checksums()}
            manifest.write(self.out / manifest.JOURNAL, begun | {"tensors": told})
            done |= told  # finished is what the record on disk says is

    def _pruned(self, begun: dict[str, Any], engine: Engine, progress: Progress | None) -> Sequence[Entry]:
        """Return what is left to merge; layers are ranked once, whatever becomes of the run that did it."""
        if self.pruning is None:
            return self.entries
        if KEPT not in begun:
            begun[KEPT] = self.pruning.rank(self.entries, engine, progress)
            manifest.write(self.out / manifest.JOURNAL, begun)
        return self.pruning.prune(self.entries, begun[KEPT])

    def _begin(self) -> dict[str, Any]:
        """Return the record of what is there already: ``tensors``, the checksums by shard, and layers by model."""
        if (reason := self.obstacle()) is not None:
            raise RunError(reason)
        record = manifest.read(self.out / manifest.JOURNAL)
        if record is None:
            begun: dict[str, Any] = {"fingerprint": self.fingerprint, "tensors": {}}
            manifest.write(self.out / manifest.JOURNAL, begun)
            return begun
        sizes = {shard.file: shard.size for shard in self.shards}
        found = {name: told for name, told in record["tensors"].items() if _size(self.out / name) == sizes.get(name)}
        return record | {
            "tensors": {name: told for name, told in found.items() if manifest.whole(self.out / name, told)}
        }

    def _finish(self, begun: Mapping[str, Any]) -> None:
        contents = dict(self.beside(self.out, self.shards))
        if len(self.shards) > 1:
            contents[INDEX] = index_text(self.shards).encode()
        if (self.out / manifest.MANIFEST).is_file():  # it is mended, and a card may have been edited since
            contents = {
                name: told for name, told in contents.items() if name not in THEIRS or not (self.out / name).exists()
            }
        files = write_beside(self.out, contents)
        done, kept = begun["tensors"], begun.get(KEPT)
        tensors = {name: value for shard in self.shards for name, value in sorted(done[shard.file].items())}
        record = {
            "method": self.title,
            "inputs": list(self.inputs),
            "fingerprint": self.fingerprint,
            "files": files,
            "tensors": tensors,
            **({KEPT: kept} if kept else {}),
        }
        manifest.write(self.out / manifest.MANIFEST, record)
        (self.out / manifest.JOURNAL).unlink()


def plan_merge(
    method: MergingMethod | LayerPruning,
    base: Source | None,
    models: Sequence[Source],
    out: str | Path,
    *,
    rules: Rules | None = None,
    threads: int | None = None,
    memory: int = 600 * MEGABYTE,
    shard_bytes: int = 2_000_000_000,
) -> MergePlan:
    """Open and check everything a merge needs; :meth:`MergePlan.run` then does it.

    Args:
        method: what merges.
        base: path of the base (see :func:`open_checkpoint`), or its tensors; ``None`` for methods that need none.
        models: paths or tensors of the models.
        out: folder of the result; new, empty, or of the same merge when it was killed.
        rules: what to do about tensors that do not match.
        threads: at most; one per core when left out. The result does not depend on it.
        memory: bytes of anonymous memory that the merge may take, besides what the process holds already; fewer threads
            work where it would be more.
        shard_bytes: size of the result's files, and with it how much a killed merge loses at most.

    Raises:
        DataError: a checkpoint is missing or damaged, or they do not fit each other.
        ConfigurationError: the method does not take these models, or the memory is too little.
    """
    rules = rules or Rules()
    if not models:
        raise ConfigurationError(f"{type(method).__name__} was given no model to merge")
    origin = None if base is None else _opened(base)
    opened = [_opened(model) for model in models]
    pruning = method if isinstance(method, LayerPruning) else None
    entries = align(method.merge if isinstance(method, LayerPruning) else method, origin, opened, rules)
    everyone = [model for model in (origin, *opened) if model is not None]
    settings = [repr(method), repr(rules)]
    check_companions(everyone[0])

    def beside(folder: Path, shards: Sequence[Shard]) -> dict[str, bytes]:  # noqa: ARG001 - cards have its name
        return gather_companions(everyone[0], shards)

    return plan_entries(
        entries,
        out,
        everyone,
        title=repr(method),
        settings=settings,
        beside=beside,
        threads=threads,
        memory=memory,
        shard_bytes=shard_bytes,
        pruning=pruning,
    )


def plan_entries(
    entries: Sequence[Entry],
    out: str | Path,
    checkpoints: Sequence[Mapping[str, Tensor]],
    *,
    title: str,
    settings: Sequence[str],
    beside: Beside,
    threads: int | None,
    memory: int,
    shard_bytes: int,
    pruning: LayerPruning | None = None,
) -> MergePlan:
    """Plan what has been aligned already; see :func:`plan_merge`.

    Args:
        entries: of the result.
        out: its folder.
        checkpoints: what is read, for the record and the fingerprint.
        title: what is done, in one line.
        settings: all that the result depends on besides the checkpoints.
        beside: see :class:`MergePlan`.
        threads: at most.
        memory: bytes at most.
        shard_bytes: size of the result's files.
        pruning: drops layers of the models first; these are the same for all entries.
    """
    for option, value in (("threads", threads), ("shard_bytes", shard_bytes)):
        if value is not None and value < 1:
            raise ConfigurationError(f"{option} is 1 or more; got {value}")
    folder = expanded(out)
    if folder.is_file():
        raise ConfigurationError(f"{out} is a file, and the result of a merge is a folder")
    looked: list[Entry] = []
    if pruning is not None:
        pruning.check(entries)
        looked = pruning.looked_at(entries)
    fitting, peak = threads_within([*entries, *looked], threads or os.cpu_count() or 1, memory)
    return MergePlan(
        title=title,
        out=folder,
        inputs=tuple(label(checkpoint, place) for place, checkpoint in enumerate(checkpoints)),
        shards=tuple(lay_out(entries, shard_bytes)),
        threads=fitting,
        memory=peak,
        bytes_in=sum(map(bytes_read, entries)),
        bytes_out=sum(entry.bytes for entry in entries),
        fingerprint=manifest.fingerprint([*settings, str(shard_bytes)], checkpoints),
        stamps=stamps(checkpoints),
        beside=beside,
        pruning=pruning,
    )


def _opened(source: Source) -> Mapping[str, Tensor]:
    return open_checkpoint(source) if isinstance(source, str | Path) else source


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
