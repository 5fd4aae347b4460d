"""The small files beside the weights: configuration and tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torch import Tensor

from accord.merging.checkpoint import Checkpoint
from accord.merging.shards import Shard
from accord.merging.writing import write_whole

# The terms of the model that leads go with it.
TERMS = ("LICENSE", "LICENCE", "NOTICE", "COPYING")
# Code (*.py) is left behind: a result holds nothing that could run.
KINDS = (".json", ".txt", ".model", ".jinja", ".tiktoken", ".vocab", ".spm")
LARGEST = 1 << 27


def copy_companions(
    source: Mapping[str, Tensor], out: Path, shards: Sequence[Shard], instead: Mapping[str, bytes | None] | None = None
) -> None:
    """Copy them from the folder of ``source``, if it has one; the configuration tells the result's dtype.

    Args:
        source: the checkpoint whose they are.
        out: the folder of the result.
        shards: its files.
        instead: files to write in place of the copies, or besides; ``None`` leaves a file out.
    """
    found = source.folder if isinstance(source, Checkpoint) else None
    contents: dict[str, bytes | None] = {path.name: path.read_bytes() for path in companions(found)} if found else {}
    for name, content in {**contents, **(instead or {})}.items():
        if content is not None:
            write_whole(out / name, _told(content, shards) if name == "config.json" else content)


def companions(folder: Path) -> Iterator[Path]:
    """Yield the configuration and tokenizer files of a Hugging Face folder."""
    for path in sorted(folder.iterdir()):
        skipped = path.name.endswith(".index.json") or path.name.startswith((".", "accord-merge"))
        wanted = path.suffix in KINDS or path.stem in TERMS
        if wanted and not skipped and path.is_file() and path.stat().st_size <= LARGEST:
            yield path


def _told(content: bytes, shards: Sequence[Shard]) -> bytes:
    types = {str(e.dtype).removeprefix("torch.") for shard in shards for e in shard.entries if e.copy is None}
    try:
        config = json.loads(content)
    except ValueError:
        return content  # not ours to judge
    keys = [key for key in ("dtype", "torch_dtype") if isinstance(config, dict) and key in config]
    if len(types) != 1 or all(config[key] in types for key in keys):
        return content
    (dtype,) = types
    return (json.dumps(config | dict.fromkeys(keys, dtype), indent=2, ensure_ascii=False) + "\n").encode()
