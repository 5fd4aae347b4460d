"""What a result says about itself, so that a merge can go on after it was killed and be checked when it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor
from xxhash import xxh3_128

from accord.errors import DataError, RunError
from accord.merging.align import label
from accord.merging.beside import fault
from accord.merging.block import BLOCK
from accord.merging.checkpoint import Checkpoint
from accord.merging.guarding import stamps
from accord.merging.open_checkpoint import expanded, open_checkpoint
from accord.merging.tensor_files import open_file
from accord.merging.writing import raw, write_whole

MANIFEST = "accord-merge.json"
JOURNAL = f".{MANIFEST}.unfinished"
# 1, which was not written down, had checksums of Accord's own; since 2 they are XXH3-128.
VERSION = 2


def read(path: Path) -> dict[str, Any] | None:
    """Return a manifest or journal, or ``None`` if there is none.

    Raises:
        RunError: it is damaged, or of another version.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is damaged ({error}): remove {path.parent} and merge again") from error
    files = content.get("files", {}) if isinstance(content, dict) else None
    if not isinstance(files, dict) or "fingerprint" not in content or "tensors" not in content:
        raise RunError(f"{path} is no record of a merge: remove {path.parent} and merge again")
    version = content.get("version", 1)
    if version != VERSION:
        raise RunError(
            f"{path} is a record of version {version!r}, and this Accord reads version {VERSION}: its checksums are of "
            f"another kind. Check it with the Accord that wrote it, or remove {path.parent} and merge again"
        )
    return content


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a manifest or journal, atomically."""
    write_whole(path, (json.dumps({"version": VERSION, **record}, indent=1, ensure_ascii=False) + "\n").encode())


def obstacle(out: Path, fingerprint: str) -> str | None:
    """Return why a merge cannot write into a folder as it is now, or ``None`` where nothing is in its way.

    A merge of the same ``fingerprint`` that was begun there may go on.

    Raises:
        RunError: the record of what is there is damaged.
    """
    if not out.is_dir():
        return f"{out} is a file, and the result of a merge is a folder" if out.exists() else None
    begun = read(out / JOURNAL)
    if begun is not None:
        other = begun["fingerprint"] != fingerprint
        return f"{out} holds another, unfinished merge; remove it or choose another folder" if other else None
    if not any(not item.name.endswith(".part") for item in out.iterdir()):
        return None
    return f"{out} is not empty{_made(out, fingerprint)}: remove it or choose another folder"


def _made(out: Path, fingerprint: str) -> str:
    try:
        record = read(out / MANIFEST)
    except RunError:
        return ""
    if record is None or record["fingerprint"] != fingerprint:
        return ""
    try:
        _opened(out, record)
    except (RunError, DataError) as error:
        return f"; it holds this very merge, finished, but {error}"
    return "; it holds this very merge, finished"


def fingerprint(settings: Sequence[str], checkpoints: Sequence[Mapping[str, Tensor] | None]) -> str:
    """Return the SHA-256 of a merge's settings, and of the paths, sizes and times of change of the files it reads."""
    facts: list[object] = [list(settings)]
    for checkpoint in checkpoints:
        if isinstance(checkpoint, Checkpoint):
            facts.append([(str(path.resolve()), *stamp) for path, stamp in stamps([checkpoint]).items()])
        else:
            facts.append(None)
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def verify(out: str | Path) -> int:
    """Check a finished merge, byte for byte, against its manifest; return the number of tensors.

    Checked are all tensors, and the small files that are needed to load and to repeat the merge: configuration,
    tokenizer, index, recipe, licence. The card (``README.md``), reports (``merge.html``, ``merge.json``) and files that
    were put there since are no part of it: people edit those. Manifests without checksums of small files, as they were
    written before there were any, speak for the tensors alone.

    Raises:
        RunError: it is unfinished, or names the file or tensor that is missing, extra or changed.
        DataError: a file is damaged.
    """
    out = expanded(out)
    record = read(out / MANIFEST)
    if record is None:
        state = "was not finished: run the same merge again" if (out / JOURNAL).exists() else "is no merge of Accord's"
        raise RunError(f"{out} {state}")
    checkpoint = _opened(out, record)
    for name, value in record["tensors"].items():
        if digest(checkpoint[name]) != value:
            raise RunError(f"{name} in {label(checkpoint, 0)} is not what was merged: its bytes have changed")
    return len(checkpoint)


def _opened(out: Path, record: Mapping[str, Any]) -> Checkpoint:
    """Return the checkpoint of a finished merge; of its tensors, only that they are there has been checked."""
    if (reason := fault(out, record.get("files", {}))) is not None:
        raise RunError(f"{reason}. If that was you, take its line out of {MANIFEST}; else merge again")
    checkpoint = open_checkpoint(out)
    if odd := sorted(set(record["tensors"]) ^ set(checkpoint)):
        raise RunError(f"{out} {'lacks' if odd[0] in record['tensors'] else 'has an unknown'} tensor {odd[0]}")
    return checkpoint


def damage(out: Path) -> str | None:
    """Return why :func:`verify` would not call a folder a whole merge, or ``None``. It reads all that was merged."""
    try:
        verify(out)
    except (RunError, DataError) as error:
        return str(error)
    return None


def whole(path: Path, told: Mapping[str, str]) -> bool:
    """Return whether a shard holds what its record says: after a power cut a file may have its size and no content."""
    try:
        file = open_file(path)
        return set(file.names()) == set(told) and all(digest(file.tensor(name)) == told[name] for name in told)
    except DataError:
        return False


def digest(tensor: Tensor) -> str:
    """Return the XXH3-128 checksum of a tensor's bytes: it finds damage and mix-ups, and is no signature."""
    found = xxh3_128()
    flat = tensor.reshape(-1)
    for start in range(0, len(flat), BLOCK):
        found.update(raw(flat[start : start + BLOCK]))
    return found.hexdigest()
